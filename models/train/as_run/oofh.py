from hunkfit import *
d,m=L("c"); fd,fm=L("f"); repo=np.array([x["repo"] for x in m])[d["hp"]]; fr=np.array([x["repo"] for x in fm])[fd["hp"]]
fo=folds(np.append(repo,fr)); a,b=fo[:len(repo)],fo[len(repo):]; s=np.full(len(d["y"]),np.nan); sf=np.full(len(fd["y"]),np.nan)
for k in (0,1,2):
    t=fit(d,np.flatnonzero(a!=k),{q:v[b!=k] for q,v in fd.items()},.8,200,.3); s[a==k]=total(t,d["X"][a==k]); sf[b==k]=total(t,fd["X"][b==k])
np.savez("work/oofh.npz",s=s,sf=sf); print("ok")
