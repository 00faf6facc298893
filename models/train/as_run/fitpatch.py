from stack import *
import features, pickle
from trees import boost as tboost, total, average
exec(open("final_patch.py").read().split("# joint bare expert")[0].split("from trees import boost as tboost, total, average\n")[1])
class DD:
    def __init__(s,x): s.text=x
    def __len__(s): return s.text.shape[0]
class Text:
    def __init__(s,text,y,w,pr,share,l2):
        s.tb=TextBranch(); s.tb.prepare(DD(text)); x=s.tb.matrix(DD(text)); cols=np.unique(x.indices)
        s.w=np.zeros(features.BUCKETS); s.w[cols],s.b=logistic(x[:,cols],y,w,pr,share,l2); s.w=s.w.astype(np.float16).astype(float)
    def __call__(s,text): return s.tb.matrix(DD(text))@s.w+s.b
    def tensors(s,k): return s.tb.tensors(k,s.w,s.b)
class Lin:
    def __init__(s,X,y,w,pr,share,l2):
        s.m,s.s=X.mean(0),np.maximum(X.std(0),1e-3); s.w,s.b=logistic((X-s.m)/s.s,y,w,pr,share,l2)
    def __call__(s,X): return ((X-s.m)/s.s)@s.w+s.b
    def tensors(s,k): return {f"metrics.{k}.{a}":b for a,b in dict(mean=s.m,scale=s.s,weight=s.w,bias=np.array([s.b])).items()}
class Gb:
    def __init__(s,X,y,w,pr,specs): s.t=average([tboost(X,y,w,pr,sh,n,i,**kw) for i,(sh,n,kw) in enumerate(specs)])
    def __call__(s,X): return total(s.t,X)
    def tensors(s,k): return {f"trees.{k}.{a}":b for a,b in s.t.items()}
PR=lambda y,t: pairs(y,t,np.random.default_rng(1))
def fit_T(X,text,y,t):
    w=task_weights(t); pr=PR(y,t)
    return [Text(text,y,w,pr,.9,1e-4),Lin(X,y,w,pr,.5,1e-2),Gb(X,y,w,pr,[(.4,250,{}),(.5,250,{}),(.6,250,{}),(.7,200,{})])]
def app(ms,X,text): return np.stack([ms[0](text),ms[1](X),ms[2](X)],1)
hasix=np.arange(len(ay))
fold=folds(ar); O=np.zeros((len(ay),3))
for k in range(5):
    tr,te=fold!=k,fold==k
    O[te]=app(fit_T(AX[tr],atext[tr],ay[tr],at[tr]),AX[te],atext[te])
    print("fold",k,flush=True)
for i,n in enumerate(("text","metrics","trees")): print("T oof",n,rep(ay,O[:,i],at))
w,pr=task_weights(at),PR(ay,at)
for share in (.3,.5):
    c,b=fuse(list(O.T),ay,w,pr,share); print("fusion",share,c,b,rep(ay,O@c+b,at),flush=True)
    if share==.5: C=(c,b)
ms=fit_T(AX,atext,ay,at)
pickle.dump(dict(models=ms,fusion=C,oof=O),open("work/T.pkl","wb"))
DO=app(ms,DX,dtext); print("done dev not looked at"); np.savez("work/T-dev.npz",D=DO,f=DO@C[0]+C[1])
# bare
ra=.15
Xb=np.vstack([CX,hide(AX)]); tb=sp.vstack([ctext,atext]).tocsr(); y=np.append(cy,ay); r=np.append(cr,ar); t=np.append(np.array([f"c{i}" for i in range(len(cy))]),at)
isc=np.arange(len(y))<len(cy); wt=np.concatenate([wc/wc.sum()*(1-ra),wa/wa.sum()*ra]); fold=folds(r)
def fit_N(ix):
    ix=np.flatnonzero(ix); w=wt[ix]; pr=PR(y[ix],t[ix])
    return [Text(tb[ix],y[ix],w,pr,.05,1e-4),Gb(Xb[ix],y[ix],w,pr,[(.05,350,dict(num_leaves=16,min_data_in_leaf=150,learning_rate=.05)),(.05,350,dict(num_leaves=16,min_data_in_leaf=150,learning_rate=.05))])]
O=np.full((len(y),2),np.nan)
for k in range(3):
    te=fold==k; m=fit_N(~te); O[te]=np.stack([m[0](tb[np.flatnonzero(te)]),m[1](Xb[te])],1); print("fold",k,flush=True)
s=~np.isnan(O[:,0])
for i in range(2): print("N oof commits",auc(y[s&isc],O[s&isc,i]),"agents",rep(y[s&~isc],O[s&~isc,i],t[s&~isc]))
c,b=fuse(list(O[s].T),y[s],wt[s],PR(y[s],t[s]),.05); z=O@c+b
print("N fusion",c,b,"commits",auc(y[s&isc],z[s&isc]),"agents",rep(y[s&~isc],z[s&~isc],t[s&~isc]),flush=True)
m=fit_N(np.ones(len(y),bool)); pickle.dump(dict(models=m,fusion=(c,b),oof=z),open("work/N.pkl","wb"))
f=lambda X,tx: np.stack([m[0](tx),m[1](X)],1)@c+b
np.savez("work/N-dev.npz",commits=f(EX,etext),agents=f(hide(DX),dtext)); print("done")
