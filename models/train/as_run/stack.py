from gb import *
from fit import fuse
def textfit(text,y,t,tr,share,l2,idf=None):
    tb=TextBranch()
    class D: pass
    d=D(); d.text=text[tr]; d.__len__=None
    class DD:
        def __init__(s,x): s.text=x
        def __len__(s): return s.text.shape[0]
    tb.prepare(DD(text[tr])); x=tb.matrix(DD(text)); cols=np.unique(x[tr].indices); x=x[:,cols]
    pr=pairs(y[tr],t[tr],np.random.default_rng(1)) if share else (np.zeros(0,int),np.zeros(0,int),np.zeros(0))
    w,b=logistic(x[tr],y[tr],task_weights(t[tr]) if share else np.ones(tr.sum()),pr,share,l2)
    return x@w+b
def main():
    meta,X,text,y,t,r=load("agent-train"); fold=folds(r)
    out={}
    for share,n in ((.3,250),(.5,250),(.7,150)):
        o=np.zeros(len(y))
        for k in range(5):
            tr,te=fold!=k,fold==k
            for seed in (0,1):
                m=boost(X[tr],y[tr],t[tr],share,n,{**BASE,"num_leaves":12},seed); o[te]+=m.predict(X[te],raw_score=True)/2
        out[f"g{share}"]=o; print(share,rep(y,o,t),flush=True)
    for share,l2 in ((.5,1e-4),(.5,3e-4),(.9,1e-4)):
        o=np.zeros(len(y))
        for k in range(5):
            tr,te=fold!=k,fold==k; o[te]=textfit(text,y,t,tr,share,l2)[te]
        out[f"t{share}{l2}"]=o; print("text",share,l2,rep(y,o,t),flush=True)
    np.savez("work/stack.npz",y=y,**out)
    w=task_weights(t)
    for keys in (["g0.3","g0.5","g0.7"],["g0.5","t0.50.0001"],["g0.5","g0.7","t0.50.0003"],["g0.3","g0.7","t0.90.0001"]):
        s=sum((out[k]-out[k].mean())/out[k].std() for k in keys); print(keys,rep(y,s,t))
if __name__=="__main__": main()
