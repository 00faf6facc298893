import sys, numpy as np, pickle, diff, features
from lines import found, scores, summaries
from common import records
name=sys.argv[1]; W=np.load("work/W.npy"); X=[];own=[];n=0
for r in records(name):
    files=diff.parse(r["patch"])
    if not files: continue
    nh=sum(len(f.hunks) for f in files)
    keep = (r["label"]==1 or nh==1) if name=="agent/dev" else (nh==1 and n%3==0)
    if keep:
        P=features.Problem(r.get("problem")); sm=summaries(files,scores(found(files),W)); su=features.surroundings(files); i=0
        for f in files:
            for h in f.hunks: X.append(features.metrics([features.only(f,h)],P)+su[i]+sm[i]); own.append((n,i)); i+=1
    n+=1
np.savez(f"work/ha-{name.replace('/','-')}.npz",X=np.array(X,np.float32),own=np.array(own)); print(name,len(X),n)
