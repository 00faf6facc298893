import pickle, numpy as np, json, sys
src=open("fitpatch.py").read().split("PR=lambda")[0]
exec(src)
from safetensors.numpy import load_file
from common import records
import diff
from hunkfit import L, within
from sklearn.linear_model import LogisticRegression
V=load_file("v0/heads.safetensors")
T=pickle.load(open("work/T.pkl","rb")); N=pickle.load(open("work/N.pkl","rb")); H=pickle.load(open("work/H.pkl","rb")); W=np.load("work/W.npy"); F=np.load("work/fusion.npz")
t={k:V[k] for k in V if k.startswith(("head.","lexical.hunk.","fusion.hunk_trunk_mean"))}
for m in T["models"]: t|=m.tensors("patch")
for m in N["models"]: t|=m.tensors("bare")
t|={f"trees.hunk.{k}":v for k,v in H.items()}
t["lines.hunk.weight"]=W; t["fusion.patch"]=F["patch"]; t["fusion.bare"]=F["bare"]; t["fusion.hunk"]=np.array([.25,.25,0,1.,0,0])
print({k:v.shape for k,v in t.items()})
def ece(p,y,w,bins):
    b=np.minimum((p*bins).astype(int),bins-1); e=0
    for k in range(bins):
        m=b==k
        if m.any(): e+=w[m].sum()*abs(np.average(p[m],weights=w[m])-np.average(y[m],weights=w[m]))
    return e/w.sum()
def platt_(z,y,w): m=LogisticRegression(C=1e6).fit(z[:,None],y,sample_weight=w); return float(m.coef_[0,0]),float(m.intercept_[0])
def measure(p,y,w):
    q=np.clip(p,1e-9,1-1e-9); r=np.average(y,weights=w); br=np.average((p-y)**2,weights=w)
    return {"n":len(y),"prior":round(r,4),"ece_10":round(ece(p,y,w,10),4),"ece_15":round(ece(p,y,w,15),4),"brier":round(br,4),"brier_skill":round(1-br/(r*(1-r)),4),"log_loss":round(-np.average(np.where(y==1,np.log(q),np.log(1-q)),weights=w),4)}
sg=lambda x:1/(1+np.exp(-x))
def calibrate(z,y,g,w):
    fo=folds(g); p=np.zeros(len(z))
    for k in range(5):
        a,b=platt_(z[fo!=k],y[fo!=k],w[fo!=k]); p[fo==k]=sg(a*z[fo==k]+b)
    a,b=platt_(z,y,w); prior=float(np.average(y,weights=w))
    return {"slope":a,"intercept":b,"reference_prior":round(prior,6)},p,{"before":measure(sg(z),y,w),"after_cross_fitted":measure(p,y,w)}
f=np.load("work/patch-dev.npz")["f"]; print("dev patch",rep(dy,f,dt))
mp,pp,notes_p=calibrate(f,dy,dr,np.ones(len(dy))); print(mp,notes_p)
lang=np.array([m["language"] for m in dm])
for l in np.unique(lang):
    i=lang==l
    if i.sum()>=100: print(l,i.sum(),rep(dy[i],f[i],dt[i]),"ece15",ece(pp[i],dy[i],np.ones(i.sum()),15))
n=np.load("work/N-dev.npz"); print("commits dev",auc(ey,n["commits"]))
un=float(V["fusion.hunk_trunk_mean"][0])
def extra(name):
    v=pickle.load(open(f"work/v0-{name}.pkl","rb"))
    return np.array([.25*(un if x is None else x)+.25*y for o in v for x,y in zip(o[1],o[2])],float)
P,pm=L("pd"); s=total(H,P["X"])+extra("pd"); kind=np.array([m["kind"].split(":")[0] for m in pm])[P["hp"]]; ix=kind=="planted"
print("planted pooled",auc(P["y"][ix],s[ix]),"within,top1",within(P["y"][ix],s[ix],P["hp"][ix]),"n patches",len(np.unique(P["hp"][ix])),set(kind))
Fd,fm=L("fd"); sf=total(H,Fd["X"])+extra("fd"); print("fix paired",np.mean(sf[0::2]>sf[1::2]),len(sf)//2)
rng=np.random.default_rng(0); good=sf[0::2]; bad=sf[1::2]; q=[]
# five fixes, one of them reversed, as patches of their own
for _ in range(2000):
    i=rng.choice(len(good),5,replace=False); z=good[i].copy(); q.append(np.mean(z[1:]>bad[i[0]])+.5*np.mean(z[1:]==bad[i[0]]))
print("five fixes within",np.mean(q))
A=np.load("work/ha-agent-dev.npz"); lab={};rp={}
k=0
for r in records("agent/dev"):
    if not diff.parse(r["patch"]): continue
    lab[k]=int(r["label"]); rp[k]=r["repo"]; k+=1
ya=np.array([lab[int(o)] for o in A["own"][:,0]]); ra_=np.array([rp[int(o)] for o in A["own"][:,0]]); ad=pickle.load(open("work/v0-ad.pkl","rb")); sa=total(H,A["X"])+np.array([.25*(un if ad[int(a)][1][int(b)] is None else ad[int(a)][1][int(b)])+.25*ad[int(a)][2][int(b)] for a,b in A["own"]],float)
print("agents' hunks",len(ya),ya.mean(),"auc",auc(ya,sa))
prepo=np.array([m["repo"] for m in pm])[P["hp"]][ix]
z=np.append(sa,s[ix]); y=np.append(ya,P["y"][ix]); g=np.append(ra_,prepo); w=np.append(np.full(len(sa),.5/len(sa)),np.full(ix.sum(),.5/ix.sum())); w*=len(w)
mh,ph,notes_h=calibrate(z,y,g,w); print(mh,notes_h)
bins=[]
for k in range(10):
    m=np.minimum((ph*10).astype(int),9)==k
    if m.sum()>=20: bins.append({"low":k/10,"high":(k+1)/10,"n":int(m.sum()),"right":int(round(np.average(y[m],weights=w[m])*m.sum()))})
print(bins)
notes_h|={"n_agent":len(sa),"n_planted":int(ix.sum()),"bins":bins}
cal={"id":"diffidence-small-0.2.0-dev","patch":mp,"hunk":mh,"notes":{"data":"Platt maps fitted on agent/dev (repositories that no weight was trained on); hunks: agents' hunks of known label and planted defects, half the weight each; shares in bins are weighted alike, cross-fitted over repositories","patch":{"n":len(dy),**notes_p},"hunk":notes_h}}
np.savez("work/fit.npz",**t); json.dump({"calibration":cal},open("work/fit.json","w"))
