import sys, time, numpy as np
from pathlib import Path
from tuiprobe.label.contest import Contest
from tuiprobe.label.pool import read_candidate, match
from tuiprobe.run.directory import RunDir
from tuiprobe.datasets.load import load_suite
order=["mini_clip-","mini_clip_soft-","mini_finetuned-","mini_supervised-"]
runs=[next(p for p in Path('/tmp/four/runs').iterdir() if p.name.startswith(o)) for o in order]
cands=[read_candidate(RunDir(r)) for r in runs]
m=match(cands)
print(m.ids.shape, m.left_out, m.doubles, m.classes[:4])
from tuiprobe.miniature import world

names=None
def name_of(label):
    return label
import tuiprobe.run.head_file as hf
rows=hf.read_class_names(RunDir(runs[0]))
lab=[world.label("street", int(Path(cands[0].paths[i]).stem)) for i in m.ids.tolist()]
truth=np.array([m.classes.index(rows[l]) if rows[l] in m.classes else -1 for l in lab])
print("acc", [(a==truth).mean() for a in m.answers])
from tuiprobe.label.contest import Pool
def go(which, seed, upto=None, log=False):
    pool=Pool(m.answers[which], m.confidences[which], seed)
    c=Contest(pool); first=None; best=None; pics=[]
    while (i:=c.following()) is not None:
        pics.append(int(m.ids[i])); c.add(i, int(truth[i]))
        n=len(c.labels)
        if log and n in (20,40):
            print(n, "logE0", c.walks[0,1].better.best if len(which)==2 else c.walks[1,3].better.best, "bounds", c.bounds(0,1) if len(which)==2 else c.bounds(1,3), [(100*c.accuracy(k).estimate, 100*c.accuracy(k).half) for k in range(len(which))])
        if log and c._drops and c.dropped.any(): pass
        if first is None and c.verdict!="open": first=n
        if c.verdict=="best": best=n; break
        if n==upto: break
    return first,best,c.winner,pics[:12],c
for seed in (0,1):
    t=time.time(); f=go([1,3],seed,log=seed==0); print(seed,f[:4], time.time()-t)
f=go([0,1,2,3],0,log=True); print(f[:4])
