//! Bugs of the past, each told again: its trigger, which must really happen, and what must not come of it.
//!
//! Every test names the bug it tells: a row of real bugs of upstream's Job, CronJob and DaemonSet controllers (k/k is
//! kubernetes/kubernetes), or one that the simulator found here. Each story is told with several seeds, which
//! decide how long everything takes; every checker of the simulator watches it besides the story's own oracle.

#[path = "scenarios/counting.rs"]
mod counting;
#[path = "scenarios/creating.rs"]
mod creating;
#[path = "scenarios/cron_jobs.rs"]
mod cron_jobs;
#[path = "scenarios/daemon_sets.rs"]
mod daemon_sets;
#[path = "scenarios/ending.rs"]
mod ending;
#[path = "scenarios/ownership.rs"]
mod ownership;
