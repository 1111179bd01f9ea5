"""Which of a few encoders is best on these pictures, by labelling some of them.

The guarantee: a candidate is dropped, or a winner named, only when a bet against it has multiplied
its stake by (M - 1) / 0.05. Whoever labels may look all the time and stop at any moment, and the
best of the M candidates on these N pictures is dropped with a chance of at most 5 %, if the labels
are right. It rests on Ville's inequality and on betting about a finite population (Waudby-Smith and
Ramdas, "Confidence sequences for sampling without replacement", 2020; "Estimating means of bounded
random variables by betting", 2024).

`betting.py` has the bets, `contest.py` the order of pictures and the decisions, `survey.py` the
accuracies, and what one run alone needs. `certificate.py` says how many of the most confident
answers of one run need no look. `candidates.py` reads runs and `matching.py` puts them on
the same pictures; `files.py` keeps the labels, `session.py` joins them, `answer_table.py` hands
pictures out as a table, and `status.py` describes how far it is. `report_part.py` has what the
labels mean for a finished run.
"""
