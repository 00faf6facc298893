from stack import *
import features, pickle
from trees import boost as tboost, total, average
PROB=["has_problem","problem_tokens","added_in_problem","old_in_problem","stem_in_problem","new_in_problem","new_parts_in_problem","problem_code","code_in_added","code_in_old","code_in_new","long_in_patch","path_in_problem","stems_in_problem","paths_in_problem","problem_lines","problem_fences","problem_faults"]
pc=[features.METRICS.index(n) for n in PROB]
def hide(X): X=X.copy(); X[:,pc]=0; return X
am,AX,atext,ay,at,ar=load("agent-train"); cm,CX,ctext,cy,ct,cr=load("commits-train")
src=np.array([m["source"] for m in cm]); ok=src!="commits_jitdefects4j_buggy"; rng0=np.random.default_rng(2)
CX,ctext,cy,ct,cr=CX[ok],ctext[np.flatnonzero(ok)],cy[ok],ct[ok],cr[ok]
_,inv,cnt=np.unique(cr,return_inverse=True,return_counts=True); wc=cnt[inv]**-.5; wc/=wc.mean()
wa=task_weights(at)
dm,DX,dtext,dy,dt,dr=load("agent-dev"); em,EX,etext,ey,et,er=load("commits-dev")
has=AX[:,features.METRICS.index("has_problem")]>0; print("has problem",has.mean(),ay[has].mean(),ay[~has].mean())
none=(np.zeros(0,int),np.zeros(0,int),np.zeros(0))
# joint bare expert
X=np.vstack([CX,hide(AX)]); y=np.append(cy,ay); r=np.append(cr,ar); t=np.append(np.array([f"c{i}" for i in range(len(cy))]),at)
nC=len(cy); fold=folds(r)
for ra in (0.15,.5):
  for share in (.15,):
    w=np.concatenate([wc/wc.sum()*(1-ra),wa/wa.sum()*ra])
    o=np.zeros(len(y))
    for k in range(2):
        tr=fold!=k; te=~tr
        m=tboost(X[tr],y[tr],w[tr],pairs(y[tr],t[tr],np.random.default_rng(1)),share*ra*2,300,0,num_leaves=16,min_data_in_leaf=150,learning_rate=.05)
        o[te]=total(m,X[te])
    s=fold<2; c=np.arange(len(y))<nC
    print(ra,share,"commits",auc(y[s&c],o[s&c]),"agents bare",rep(y[s&~c],o[s&~c],t[s&~c]),flush=True)
