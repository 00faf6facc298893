import numpy as np, pickle, sys
from evaluate import auc
from fit import folds
from trees import boost, total, average
from linefit import inpatch_pairs
L=lambda n:(dict(np.load(f"work/h-{n}.npz")),pickle.load(open(f"work/h-{n}.pkl","rb")))
def hpairs(y,hp):
    b,w,wt=inpatch_pairs(1-y,hp)  # bad, good
    return w,b,wt/wt.sum()
def fit(d,ix,fd,share,rounds,wfix,seeds=(0,),**kw):
    X=np.vstack([d["X"][ix],fd["X"]]) if wfix else d["X"][ix]; y=np.append(d["y"][ix],fd["y"]) if wfix else d["y"][ix]
    hp=np.append(d["hp"][ix],fd["hp"]//2+10**6) if wfix else d["hp"][ix]
    n=len(ix); w=np.ones(len(y)); 
    if wfix: w[n:]*=wfix*n/(len(y)-n)
    b,g,pw=hpairs(y,hp)
    if wfix: f=b>=n; pw[f]*=wfix*pw[~f].sum()/pw[f].sum(); pw/=pw.sum()
    return average([boost(X,y,w/w.sum(),(b,g,pw),share,rounds,s,**kw) for s in seeds])
def within(y,s,hp):
    a=[];t=[]
    for q in np.unique(hp):
        j=hp==q
        if 0<y[j].sum()<j.sum(): a.append(auc(y[j],s[j])); t.append((1-y[j])[s[j]==s[j].min()].mean())
    return np.mean(a),np.mean(t)
def dev(t,extra=None):
    out=[]
    P,pm=L("pd"); s=total(t,P["X"])
    kind=np.array([m["kind"].split(":")[0] for m in pm])[P["hp"]]; ix=kind=="planted"
    a,tp=within(P["y"][ix],s[ix],P["hp"][ix]); out.append(f"planted pooled {auc(P['y'][ix],s[ix]):.3f} within {a:.3f} top1 {tp:.3f}")
    F,fm=L("fd"); s=total(t,F["X"]); out.append(f"fix paired {np.mean(s[0::2]>s[1::2]):.3f} pooled {auc(F['y'],s):.3f}")
    return " ".join(out)
if __name__=="__main__":
    d,m=L("c"); fd,fm=L("f"); repo=np.array([x["repo"] for x in m])[d["hp"]]; fo=folds(repo); fr=np.array([x["repo"] for x in fm])[fd["hp"]]
    te=np.flatnonzero(fo==0); tr=np.flatnonzero(fo!=0); hold=set(repo[te]); keep=~np.isin(fr,list(hold)); ok=np.array([x["ok"] for x in fm])[fd["hp"]]
    sub={k:v[keep] for k,v in fd.items()}
    print("lines alone",within(d["y"][te],-d["X"][te,129],d["hp"][te]),flush=True)
    for share,rounds,wfix,kw in ((.5,200,0,{}),(.8,200,0,{}),(.8,200,.3,{}),(.8,300,.3,dict(num_leaves=16)),):
        t=fit(d,tr,sub,share,rounds,wfix,**kw); s=total(t,d["X"][te]); sf=total(t,fd["X"]); g=np.flatnonzero(~keep&ok)
        g=g[np.isin(g,np.flatnonzero(fd["y"]==1))]; print(share,rounds,wfix,kw,"planted",within(d["y"][te],s,d["hp"][te]),auc(d["y"][te],s),"fix oof",np.mean(sf[g]>sf[g+1]),len(g),flush=True)
