//! How much memory a program may take without pushing out others: what the machine has, and what the
//! control groups that it runs in, such as a container's, leave it.
//!
//! Invariant: what cannot be read limits nothing.

use std::fs::read_to_string;
use std::path::Path;

/// What files of a control group are called (the kernel's `cgroup-v2.rst` and `cgroup-v1/memory.rst`).
struct Names {
    limit: &'static str,
    used: &'static str,
    /// Of `memory.stat`: what holds files, and is given up when memory is wanted.
    reclaimable: &'static str,
}

const SECOND: Names = Names {
    limit: "memory.max",
    used: "memory.current",
    reclaimable: "inactive_file",
};

const FIRST: Names = Names {
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
};

/// Bytes, if any can be told.
pub(super) fn free_memory() -> Option<u64> {
    let machine = read_to_string("/proc/meminfo").ok();
    let groups = read_to_string("/proc/self/cgroup").ok();
    let machine = machine.and_then(|text| of_machine(&text));
    let groups = groups.and_then(|text| of_groups(&text, Path::new("/sys/fs/cgroup")));
    [machine, groups].into_iter().flatten().min()
}

fn of_machine(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// What is left in the tightest of the groups that `/proc/self/cgroup` lists, and those around them.
fn of_groups(listed: &str, mounted: &Path) -> Option<u64> {
    let groups = listed.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (root, names) = match controllers {
            "" => (mounted.to_path_buf(), SECOND),
            _ if controllers.split(',').any(|it| it == "memory") => (mounted.join("memory"), FIRST),
            _ => return None,
        };
        let around = Path::new(path.trim_start_matches('/')).ancestors();
        around
            .filter_map(|group| left(&root.join(group), &names))
            .min()
    });
    groups.min()
}

fn left(group: &Path, names: &Names) -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        let text = read_to_string(group.join(name)).ok()?;
        text.trim().parse().ok()
    };
    let (limit, used) = (number(names.limit)?, number(names.used)?);
    let stat = read_to_string(group.join("memory.stat")).unwrap_or_default();
    let reclaimable = stat.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == names.reclaimable).then(|| value.parse::<u64>().ok())?
    });
    let held = used.saturating_sub(reclaimable.unwrap_or(0));
    Some(limit.saturating_sub(held))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_the_machine_has_is_read() {
        let text = "MemTotal:       10 kB\nMemAvailable:    3 kB\n";
        assert_eq!(of_machine(text), Some(3 * 1024));
        assert_eq!(of_machine("MemTotal: 10 kB\n"), None);
        assert!(free_memory().is_some() || !cfg!(target_os = "linux"));
    }

    #[test]
    fn the_tightest_group_counts() {
        let root = tempfile::tempdir().unwrap();
        let put = |group: &str, files: &[(&str, &str)]| {
            let folder = root.path().join(group);
            fs::create_dir_all(&folder).unwrap();
            for (name, text) in files {
                fs::write(folder.join(name), text).unwrap();
            }
        };
        let second = |limit, used, stat| {
            [
                ("memory.max", limit),
                ("memory.current", used),
                ("memory.stat", stat),
            ]
        };
        put(
            "a",
            &second("1000\n", "700\n", "anon 5\ninactive_file 200\n"),
        );
        put("a/b", &second("max\n", "10\n", ""));
        put("a/c", &second("300\n", "400\n", ""));
        let first = [
            ("memory.limit_in_bytes", "90\n"),
            ("memory.usage_in_bytes", "30\n"),
            ("memory.stat", "inactive_file 1\ntotal_inactive_file 20\n"),
        ];
        put("memory/d", &first);
        let check = |listed, expect| assert_eq!(of_groups(listed, root.path()), expect, "{listed}");
        check("0::/a\n", Some(500));
        check("0::/a/b\n", Some(500));
        check("0::/a/c\n", Some(0));
        check("0::/\n", None);
        check("7:cpu:/a\n5:memory:/d\n0::/gone\n", Some(80));
        check("5:cpu,memory:/d\n0::/a\n", Some(80));
        check("", None);
    }
}
