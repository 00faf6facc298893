import sys, os, json, pickle, time, numpy as np, torch, itertools
torch.set_num_threads(1)
import diff, features
from safetensors.numpy import load_file
from common import load_tokenizer, records
from render import render
from trunk import Trunk, pool
from datasets import patches
import linedata
T=load_file("v0/heads.safetensors"); tr=Trunk("v0/trunk.gguf",8,torch.bfloat16); enc=load_tokenizer()
def head(k,x): return T[f"head.{k}.weight"][0].astype(np.float64)@x.reshape(-1)+float(T[f"head.{k}.bias"][0])
def run(items):
    rs=[render(f,p,enc) for f,p in items]; wins=[(i,j,len(w.ids)) for i,r in enumerate(rs) for j,w in enumerate(r.windows)]
    wins.sort(key=lambda x:x[2]); st={}; out=[None]*len(rs); need=[len(r.windows) for r in rs]
    def flush(b):
        L=max(x[2] for x in b); ids=torch.zeros(len(b),L,dtype=torch.long)
        for n,(i,j,l) in enumerate(b): ids[n,:l]=torch.tensor(rs[i].windows[j].ids)
        s=tr.forward(ids,[4,8]).numpy()
        for n,(i,j,l) in enumerate(b):
            st[i,j]=s[:,n,:l].astype(np.float16); need[i]-=1
            if need[i]==0:
                pp,hp,read=pool(rs[i],[st.pop((i,k)).astype(np.float32) for k in range(len(rs[i].windows))])
                hs=[features.only(f,h) for f in items[i][0] for h in f.hunks]
                tx=[features.text_logit(features.counts([f]),T["lexical.hunk.idf"],T["lexical.hunk.weight"],T["lexical.hunk.bias"][0]) for f in hs]
                out[i]=(head("patch",pp),[head("hunk",h) if ok else None for h,ok in zip(hp,read)],tx)
    b=[]
    for w in wins:
        if b and (len(b)+1)*w[2]>6000: flush(b); b=[]
        b.append(w)
    if b: flush(b)
    return out
jobs={
 "fd":lambda:[(f,None) for f,_,_ in linedata.fixes(1,7,"dev",True)],
 "pd":lambda:[(f,None) for f,_,_ in linedata.dset("planted-dev")],
 "f":lambda:[(f,None) for f,_,_ in itertools.islice(linedata.fixes(1),4000)][:1600],
 "c":lambda:[(f,None) for f,_,_ in itertools.islice(linedata.commits(12000),700)],
 "ad":lambda:[(r["files"],r["problem"]) for r in patches("agent/dev")],
}
for n in sys.argv[1:]:
    t=time.time(); items=jobs[n](); o=run(items); pickle.dump(o,open(f"work/v0-{n}.pkl","wb")); print(n,len(o),time.time()-t,flush=True)
