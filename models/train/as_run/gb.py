import json, numpy as np, lightgbm as lgb, scipy.sparse as sp, time, sys
sys.path.insert(0,"..")
from evaluate import auc, groups, per_task, sigmoid
from fit import folds, task_weights, pairs, TextBranch, logistic, Data
import features
def load(n):
    z=np.load(f"work/m-{n}.npz"); meta=json.loads(str(z["meta"]))
    X=z["M"].astype(float); text=sp.csr_matrix((z["dat"],z["ind"],z["ptr"]),shape=(len(meta),features.BUCKETS))
    y=np.array([float(m["label"]) for m in meta]); t=np.array([str(m["task"]) for m in meta]); r=np.array([str(m["repo"]) for m in meta])
    return meta,X,text,y,t,r
def objective(weight,pair,share):
    b,w,pw=pair; n=len(weight); wt=weight/weight.sum()*n; pw=pw*n
    def f(pred,ds):
        y=ds.get_label(); p=sigmoid(pred)
        g=(1-share)*wt*(p-y); h=(1-share)*wt*p*(1-p)
        if share:
            q=sigmoid(-(pred[b]-pred[w])); k=pw*q; v=share*pw*q*(1-q)
            g+=share*(np.bincount(w,k,n)-np.bincount(b,k,n)); h+=share*(np.bincount(w,v,n)+np.bincount(b,v,n))
        return g,np.maximum(h,1e-6)
    return f
def boost(X,y,t,share,rounds,params,seed=0):
    rng=np.random.default_rng(seed)
    P={"verbosity":-1,"num_threads":1,"seed":seed,"deterministic":True,**params}
    P["objective"]=objective(task_weights(t),pairs(y,t,rng),share)
    return lgb.train(P,lgb.Dataset(X,y,free_raw_data=False),rounds)
def rep(y,s,t):
    r=per_task(y,s,groups(t)); return f"pooled {auc(y,s):.4f} within {r[:,0].mean():.4f} rm {r[:,1].mean():.3f}"
BASE=dict(learning_rate=.03,num_leaves=8,min_data_in_leaf=60,feature_fraction=.3,bagging_fraction=.6,bagging_freq=1,lambda_l2=20.)
def main():
    meta,X,text,y,t,r=load("agent-train"); fold=folds(r)
    for share in (0,.5,.8):
        for extra in ({},dict(num_leaves=4,min_data_in_leaf=100),dict(num_leaves=16,min_data_in_leaf=100)):
            t0=time.time(); out={k:np.zeros(len(y)) for k in (100,200,400)}
            for k in range(5):
                tr,te=fold!=k,fold==k
                m=boost(X[tr],y[tr],t[tr],share,400,{**BASE,**extra})
                for n in out: out[n][te]=m.predict(X[te],num_iteration=n,raw_score=True)
            print(share,extra,round(time.time()-t0),{n:rep(y,s,t) for n,s in out.items()},flush=True)
if __name__=="__main__": main()
