import sys, numpy as np, pickle, scipy.sparse as sp, time
from scipy.optimize import minimize
from evaluate import auc, sigmoid
from fit import folds
B=1<<18
def load(n):
    d=dict(np.load(f"work/l-{n}.npz")); m=pickle.load(open(f"work/l-{n}.pkl","rb")); return d,m
def matrix(d):
    n=np.diff(d["ptr"]); v=np.repeat(1/np.sqrt(np.maximum(n,1)),n)
    return sp.csr_matrix((v,d["ind"],d["ptr"]),shape=(len(n),B))
def lse(z,lh,H):
    top=np.full(H,-1e9); np.maximum.at(top,lh,z); e=np.exp(z-top[lh]); s=np.bincount(lh,e,H); return top+np.log(s), e/s[lh]
def inpatch_pairs(hy,hp):
    b=[];w=[];wt=[]
    order=np.argsort(hp,kind="stable"); cuts=np.flatnonzero(np.diff(hp[order]))+1
    for ix in np.split(order,cuts):
        bad=ix[hy[ix]==1]; good=ix[hy[ix]==0]
        if len(bad) and len(good):
            b.append(np.repeat(bad,len(good))); w.append(np.tile(good,len(bad))); wt.append(np.full(len(bad)*len(good),1/np.sqrt(len(bad)*len(good))))
    return np.concatenate(b),np.concatenate(w),np.concatenate(wt)
class Part:
    def __init__(s,d,m,cols=None):
        s.d,s.m=d,m; s.X=matrix(d); s.H=len(d["hy"]); s.y=d["hy"].astype(float); s.repo=np.array([x["repo"] for x in m])[d["hp"]]
        if m[0]["kind"] in("fix","rev"):
            s.bad=np.flatnonzero(s.y==1); s.good=s.bad-1; s.pw=np.ones(len(s.bad))
        else: s.bad,s.good,s.pw=inpatch_pairs(d["hy"],d["hp"])
def fit(parts,l2,pair,iters=80,masks=None,verbose=False):
    """parts: list of (Part, weight); masks: hunk masks used"""
    cnt=sum(np.bincount(p.X.indices,minlength=B) for p,_ in parts); cols=np.flatnonzero(cnt>=4)
    Xs=[p.X[:,cols].tocsr() for p,_ in parts]; XT=[x.T.tocsr() for x in Xs]; d=len(cols)
    masks=masks or [np.ones(p.H,bool) for p,_ in parts]
    def loss(v):
        w,b=v[:d],v[d]; f=l2/2*(w@w); g=l2*w.copy() if False else l2*w; gb=0.
        for (p,wt),x,xt,mk in zip(parts,Xs,XT,masks):
            s,q=lse(x@w,p.d["lh"],p.H); z=s+b; a=mk.astype(float); a/=a.sum()
            f+=wt*(1-pair)*(a@(np.logaddexp(0,z)-p.y*z)); gs=wt*(1-pair)*a*(sigmoid(z)-p.y); gb+=gs.sum()
            pm=p.pw*mk[p.bad]*mk[p.good]; pm=pm/pm.sum(); m=s[p.bad]-s[p.good]
            f+=wt*pair*(pm@np.logaddexp(0,-m)); h=-wt*pair*pm*sigmoid(-m)
            gs=gs+np.bincount(p.bad,h,p.H)-np.bincount(p.good,h,p.H)
            g=g+xt@(q*gs[p.d["lh"]])
        return f,np.append(g,gb)
    v=np.zeros(d+1); v[d]=-2
    o=minimize(loss,v,jac=True,method="L-BFGS-B",options=dict(maxiter=iters,maxcor=8))
    W=np.zeros(B); W[cols]=o.x[:d]; return W,o.x[d]
def score(p,W): return lse(p.X@W,p.d["lh"],p.H)[0]
def rep_planted(p,s):
    kind=np.array([m["kind"].split(":")[0] for m in p.m])[p.d["hp"]]; ix=kind=="planted"
    rows=[];top=[]
    hp=p.d["hp"]
    for q in np.unique(hp[ix]):
        j=np.flatnonzero(hp==q)
        if 0<p.y[j].sum()<len(j): rows.append(auc(p.y[j],s[j])); top.append(p.y[j][s[j]==s[j].max()].mean())
    # before/after
    tgt={}
    for n in range(p.H):
        m=p.m[hp[n]]
        if p.d["hn"][n]==m["target"]: tgt.setdefault(m["task"],{})[m["kind"].split(":")[0]]=s[n]
    ba=np.mean([t["planted"]>t["original"] for t in tgt.values() if len(t)==2])
    return f"pooled {auc(p.y[ix],s[ix]):.3f} within {np.mean(rows):.3f} top1 {np.mean(top):.3f} before/after {ba:.3f}"
def rep_fix(p,s): return f"paired {np.mean(s[p.bad]>s[p.good]):.3f} pooled {auc(p.y,s):.3f}"
def rep_oof(p,s,mk):
    ok=mk[p.bad]&mk[p.good]; return f"pair {np.average(s[p.bad[ok]]>s[p.good[ok]],weights=p.pw[ok]):.4f} pooled {auc(p.y[mk],s[mk]):.4f}"
if __name__=="__main__":
    C=Part(*load("c")); F=Part(*load("f")); print(C.H,F.H,flush=True)
    names=np.concatenate([C.repo,F.repo]); fo=folds(names); fc,ff=fo[:C.H],fo[C.H:]
    okf=np.array([m["ok"] for m in F.m])
    for l2,pair,wf in ((1e-4,.5,.5),(3e-5,.5,.5),(1e-5,.5,.5),(3e-5,.5,0.),(3e-5,.5,4.)):
        t=time.time(); k=0
        W,b=fit([(C,1.),(F,max(wf,1e-9))],l2,pair,60,[fc!=k,ff!=k])
        print(l2,pair,wf,"planted",rep_oof(C,score(C,W),fc==k),"fix",rep_oof(F,score(F,W),(ff==k)&okf),"train",rep_oof(C,score(C,W),fc!=k),rep_oof(F,score(F,W),ff!=k),round(time.time()-t),flush=True)
