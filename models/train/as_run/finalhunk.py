from hunkfit import *
d,m=L("c"); fd,fm=L("f")
t=fit(d,np.arange(len(d["y"])),fd,.8,200,.3,(0,1))
pickle.dump(t,open("work/H.pkl","wb")); print(len(t["feature"])); print("dev",dev(t))
P,pm=L("pd"); kind=np.array([x["kind"].split(":")[0] for x in pm])[P["hp"]]; ix=kind=="planted"
print("lines alone",within(P["y"][ix],-P["X"][ix,129],P["hp"][ix]))
