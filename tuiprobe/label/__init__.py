"""Which of a few encoders is best on these pictures, by labelling some of them.

The guarantee: a candidate is dropped, or a winner named, only when a bet against it has multiplied
its stake by (M - 1) / 0.05. Whoever labels may look all the time and stop at any moment, and the
best of the M candidates on these N pictures is dropped with a chance of at most 5 %, if the labels
are right. It rests on Ville's inequality and on betting about a finite population (Waudby-Smith and
Ramdas, "Confidence sequences for sampling without replacement", 2020; "Estimating means of bounded
random variables by betting", 2024).
"""
