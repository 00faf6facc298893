src=open("fitpatch.py").read().split("PR=lambda")[0]
exec(src)
D=np.load("work/T-dev.npz")["D"]; f=np.load("work/patch-dev.npz")["f"]; ad=pickle.load(open("work/v0-ad.pkl","rb")); tr=np.array([o[0] for o in ad]); n=np.load("work/N-dev.npz")
rng=np.random.default_rng(0); ut=np.unique(dt); ix={u:np.flatnonzero(dt==u) for u in ut}
def stats(y,s,t): r=per_task(y,s,groups(t)); return np.array([auc(y,s),r[:,0].mean(),r[:,1].mean()])
def boot(s,sel=None):
    v=stats(dy,s,dt) if sel is None else stats(dy[sel],s[sel],dt[sel]); us=ut if sel is None else np.unique(dt[sel]); R=[]
    pt={u:per_task(dy[ix[u]],s[ix[u]],groups(dt[ix[u]])) for u in us if 0<dy[ix[u]].sum()<len(ix[u])}
    for _ in range(400):
        c=rng.choice(us,len(us)); j=np.concatenate([ix[u] for u in c]); w=[pt[u] for u in c if u in pt]; w=np.concatenate(w); R.append([auc(dy[j],s[j]),w[:,0].mean(),w[:,1].mean()])
    lo,hi=np.percentile(R,[2.5,97.5],axis=0); return " | ".join(f"{a:.3f} [{l:.3f}, {h:.3f}]" for a,l,h in zip(v,lo,hi))
for name,s in (("text",D[:,0]),("metrics",D[:,1]),("trees",D[:,2]),("trunk",tr),("shipped",f)): print(f"| {name} | {boot(s)} |",flush=True)
lang=np.array([m["language"] for m in dm])
for l in ("python","rust"): print(l,boot(f,lang==l))
rng=np.random.default_rng(1); z=n["commits"]; B=[]
for _ in range(300):
    j=rng.choice(len(ey),len(ey)); B.append(auc(ey[j],z[j]))
print("commits",auc(ey,z),np.percentile(B,[2.5,97.5]),len(ey))
