"""fusion of hunks, calibration, tensors"""
import pickle, numpy as np, json, sys
import __main__
src=open("fitpatch.py").read().split("PR=lambda")[0]
exec(src)
from safetensors.numpy import load_file
from fit import fuse, platt, cross_fitted, fit_platt
from evaluate import calibration, sigmoid, auc
from hunkfit import L, within
V=load_file("v0/heads.safetensors")
T=pickle.load(open("work/T.pkl","rb")); N=pickle.load(open("work/N.pkl","rb")); H=pickle.load(open("work/H.pkl","rb")); W=np.load("work/W.npy")
# bare expert on the scale of the described one: agents' patches of the training split without a description, out of fold
z=N["oof"][len(cy):]; s=~np.isnan(z)&~has
a,b=platt(z[s],ay[s],task_weights(at)[s]); print("bare map",a,b,s.sum(),auc(ay[s],z[s])); a=max(a,.3)
c,bb=T["fusion"]; k=.85
fp=np.array([.5,*(k*c),k*bb]); 
# the trunk's logit has mean about that of the fused one; take its mean out so that the intercept stays
ad=pickle.load(open("work/v0-ad.pkl","rb")); 
cN,bN=N["fusion"]; fb=np.array([a*cN[0],a*cN[1],a*bN+b])
np.savez("work/fusion.npz",patch=fp,bare=fb)
D=np.load("work/T-dev.npz")["D"]; n=np.load("work/N-dev.npz"); hd=DX[:,features.METRICS.index("has_problem")]>0
tr=np.array([o[0] for o in ad]); fd_=np.where(hd,fp[0]*tr+D@fp[1:4]+fp[4],a*n["agents"]+b)
print("dev",rep(dy,fd_,dt))
lang=np.array([m["language"] for m in dm])
for l in ("python","rust","javascript"): ix=lang==l; print(l,rep(dy[ix],fd_[ix],dt[ix]))
np.savez("work/patch-dev.npz",f=fd_)
