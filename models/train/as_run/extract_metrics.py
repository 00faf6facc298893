import sys, numpy as np, json, time, zlib
import diff, features
from common import records
name=sys.argv[1]; t=time.time()
meta=[];M=[];
import scipy.sparse as sp
ind=[];dat=[];ptr=[0]
for r in records(name):
    fs=diff.parse(r["patch"])
    if not fs: continue
    M.append(features.metrics(fs,r.get("problem")))
    c=features.counts(fs); k=sorted(c); ind+=k; dat+=[c[x] for x in k]; ptr.append(len(ind))
    meta.append({k:r.get(k) for k in ("id","task","repo","language","policy","source","label")})
np.savez(f"work/m-{name.replace('/','-')}.npz",M=np.array(M,np.float32),ind=np.array(ind,np.int32),dat=np.array(dat,np.float32),ptr=np.array(ptr),meta=json.dumps(meta))
print(name,len(meta),np.array(M).shape,time.time()-t)
