from stack import *
import features
meta,X,text,y,t,r=load("commits-train"); dm,DX,dtext,dy,dt,dr=load("commits-dev"); am,AX,atext,ay,at,ar=load("agent-train"); vm,VX,vtext,vy,vt,vr=load("agent-dev")
src=np.array([m["source"] for m in meta]); 
ok=src!="commits_jitdefects4j_buggy"
fold=folds(r)
hp=[i for i,n in enumerate(features.METRICS)]
P={"verbosity":-1,"num_threads":1,"objective":"binary",**BASE,"num_leaves":16,"min_data_in_leaf":200,"learning_rate":.05}
# weight per repo sqrt
_,inv,cnt=np.unique(r,return_inverse=True,return_counts=True); w=(cnt[inv]**-.5); w/=w.mean()
o=np.zeros(len(y))
for k in range(5):
    tr=(fold!=k)&ok; m=lgb.train(P,lgb.Dataset(X[tr],y[tr],weight=w[tr]),300); o[fold==k]=m.predict(X[fold==k],raw_score=True)
print("commit gbdt oof",auc(y[ok],o[ok]),flush=True)
m=lgb.train(P,lgb.Dataset(X[ok],y[ok],weight=w[ok]),300); gd=m.predict(DX,raw_score=True); ga=m.predict(AX,raw_score=True)
print("dev",auc(dy,gd)," agent pooled",rep(ay,ga,at),flush=True)
class DD:
    def __init__(s,x): s.text=x
    def __len__(s): return s.text.shape[0]
none=(np.zeros(0,int),np.zeros(0,int),np.zeros(0))
res={}
for l2 in (1e-4,3e-4):
    tb=TextBranch(); tb.prepare(DD(text[ok])); x=tb.matrix(DD(text)); df=np.bincount(x.indices,minlength=features.BUCKETS); cols=np.flatnonzero(df>3); x=x[:,cols]
    o2=np.zeros(len(y))
    for k in range(2):
        tr=(fold!=k)&ok; ww,b=logistic(x[tr],y[tr],w[tr],none,0,l2); o2[fold==k]=x[fold==k]@ww+b
    sel=(fold<2)&ok
    ww,b=logistic(x[ok],y[ok],w[ok],none,0,l2); td=tb.matrix(DD(dtext))[:,cols]@ww+b; ta=tb.matrix(DD(atext))[:,cols]@ww+b
    print("commit text",l2,"oof",auc(y[sel],o2[sel]),"both oof",auc(y[sel],o[sel]/o[sel].std()+o2[sel]/o2[sel].std()),"dev",auc(dy,td),"both dev",auc(dy,gd/o.std()+td/o2[sel].std()),"agent",rep(ay,ta,at),flush=True)
    res[f"td{l2}"]=td;res[f"ta{l2}"]=ta;res[f"o{l2}"]=o2
np.savez("work/commits.npz",gd=gd,ga=ga,o=o,**res)
