"""builds arrays: indices,ptr per line; hunk of line; patch of hunk; y; line target; group names"""
import sys, numpy as np, time, pickle
import diff
from lines import hunk_lines, buckets
from common import records
from plant import plant_many, plant, HELD_OUT
from datasets import balanced, reverse, DATASETS
from features import DOC

def pack(gen,limit=None):
    ind=[];ptr=[0];lh=[];ln=[];hy=[];hp=[];ht=[];meta=[]
    for p,(files,bad,m) in enumerate(gen):
        meta.append(m)
        for n,rows in enumerate(hunk_lines(files)):
            if not rows: continue
            h=len(hy); hy.append(int(n in bad)); hp.append(p); ht.append(n)
            for i,fs in rows:
                b=buckets(fs); ind+=b; ptr.append(len(ind)); lh.append(h); ln.append(-1 if i is None else i)
    return dict(ind=np.array(ind,np.int32),ptr=np.array(ptr,np.int64),lh=np.array(lh,np.int32),ln=np.array(ln,np.int16),hy=np.array(hy,np.int8),hp=np.array(hp,np.int32),hn=np.array(ht,np.int16)),meta
def commits(n,seed=5):
    rng=np.random.default_rng(seed)
    rs=[r for r in records("commits/train") if len(r["patch"])<9000]
    by={}
    for i in rng.permutation(len(rs)): by.setdefault(rs[i]["repo"],[]).append(rs[i])
    turns=[q[k] for k in range(max(map(len,by.values()))) for q in by.values() if k<len(q)]
    for r in (turns[:n] if n<=12000 else turns[12000:n]):
        fs=diff.parse(r["patch"])
        if not fs or sum(len(f.hunks) for f in fs)>16: continue
        fs,bad=plant_many(fs,rng,0.35)
        yield fs,set(bad),dict(repo=r["repo"],kind="planted",task=r["id"])
def fixes(passes,seed=6,split="train",bal=False):
    rng=np.random.default_rng(seed)
    rs=list(records(f"fixes/{split}")); pool=[]
    for i in rng.permutation(len(rs)):
        hs=[(f,h) for f in diff.parse(rs[i]["fix_patch"]) for h in f.hunks if f.status=="modified" and not f.path.lower().endswith(DOC) and len(h.lines)<=50]
        for j in rng.permutation(len(hs))[:4]:
            f,h=hs[j]; a,b=(sum(k==kind for k,_ in h.lines) for kind in "+-")
            ok=balanced(h)
            if ok or (not bal and a and b and abs(a-b)<=2): pool.append((f,h,ok,rs[i]["repo"],rs[i]["id"]))
    for n,(f,h,ok,repo,id) in enumerate(pool):
        one=[diff.File(f.old,f.new,f.status,[h])]
        yield one,set(),dict(repo=repo,kind="fix",ok=ok,task=f"{id}:{n}")
        yield reverse(one),{0},dict(repo=repo,kind="rev",ok=ok,task=f"{id}:{n}")
def dset(name):
    for r in DATASETS[name]():
        bad={i for i,y in enumerate(r["hunk_labels"]) if y==0}
        yield r["files"],bad,dict(repo=r["repo"],kind=r["source"],task=r["task"],target=r["target"],lang=r["language"])
if __name__=="__main__":
    t=time.time()
    jobs={"c":lambda:commits(int(sys.argv[2])),"f":lambda:fixes(1),"pd":lambda:dset("planted-dev"),"fd":lambda:fixes(1,7,"dev",True)}
    d,m=pack(jobs[sys.argv[1]]()); np.savez(f"work/l-{sys.argv[-1]}.npz",**d); pickle.dump(m,open(f"work/l-{sys.argv[-1]}.pkl","wb"))
    print(sys.argv[1],len(m),"hunks",len(d["hy"]),d["hy"].mean(),"lines",len(d["lh"]),"nnz",len(d["ind"]),time.time()-t,flush=True)
