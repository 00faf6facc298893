import sys, numpy as np, pickle, time, itertools
import linedata, features
from lines import found, scores, summaries
from fit import folds
name=sys.argv[1]
W={k:np.load(f"work/Wcf{k}.npy") for k in (0,1)} if name in("c",) else None
if name=="c":
    d,m=dict(np.load("work/l-c.npz")),pickle.load(open("work/l-c.pkl","rb"))
    repo=np.array([x["repo"] for x in m]); rep_h=repo[d["hp"]]; fo=folds(rep_h); f_of=dict(zip(rep_h,fo))
    gen=linedata.commits(12000); pick=lambda r: W[f_of.get(r,0)%2]
else:
    Wf=np.load("work/W.npy") if name!="f" else None
    Wcf=[np.load(f"work/Wcf{k}.npy") for k in (0,1)] if name=="f" else None
    gen={"pd":lambda:linedata.dset("planted-dev"),"fd":lambda:linedata.fixes(1,7,"dev",True),"f":lambda:itertools.islice(linedata.fixes(1),5000)}[name]()
    pick=(lambda r: Wcf[0]) if name=="f" else (lambda r: Wf)
t=time.time(); X=[];y=[];hp=[];meta=[];hn=[];kept=0
for p,(files,bad,m) in enumerate(gen):
    n=sum(len(f.hunks) for f in files)
    if name=="c" and (not 2<=n<=10 or kept>=6000): continue
    kept+=1
    sm=summaries(files,scores(found(files),pick(m["repo"]))); su=features.surroundings(files)
    i=0
    for f in files:
        for h in f.hunks:
            X.append(features.metrics([features.only(f,h)],None)+su[i]+sm[i]); y.append(int(i not in bad)); hp.append(len(meta)); hn.append(i); i+=1
    m=dict(m); m["p"]=p; meta.append(m)
np.savez(f"work/h-{name}.npz",X=np.array(X,np.float32),y=np.array(y),hp=np.array(hp),hn=np.array(hn)); pickle.dump(meta,open(f"work/h-{name}.pkl","wb")); print(name,len(meta),len(y),time.time()-t,flush=True)
