//! One run: a control plane, one controller, one workload.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use windlass_control_plane::ControlPlane;

use super::jobs::JobWatch;
use super::kubelet::{Kubelet, Life};
use super::process::{cpu_seconds, peak_memory_mib};
use super::sample::Sample;
use super::workload::{self, Name, Workload};
use super::{audit, daemon};
use crate::client::Client;
use crate::clock::{self, Stopwatch};
use crate::side::{BENCH_USER, Side};

/// Where the Jobs are that count.
pub(super) const NAMESPACE: &str = "bench";
/// Where a Job is run first, which shows that the controller works.
pub(super) const WARM_UP: &str = "warm-up";
/// How long the warm-up may take: most of it is the start of the controller, on a machine that may be busy.
pub(super) const WARM_UP_LIMIT: Duration = Duration::from_secs(60);
/// How long the controller is let alone before and after: what it does late is part of its cost, such as removing
/// a finalizer a second time.
pub(super) const SETTLE: Duration = Duration::from_secs(3);
/// The second of a minute at which CronJobs are created that are due with the next: time enough for all of them, and
/// the same for every run.
const CRON_START_SECOND: i64 = 40;
/// Creates of Jobs under way at once, where they are not timed.
const CREATES_IN_FLIGHT: usize = 8;

/// What had been spent at some moment.
pub(crate) struct Spent {
    /// The controller's processor time, seconds.
    pub(crate) controller_cpu_seconds: f64,
    /// The API server's processor time, seconds.
    pub(crate) api_server_cpu_seconds: f64,
    /// Most memory that the controller ever had resident, MiB.
    pub(crate) peak_memory_mib: f64,
}

/// Runs a workload with one controller.
pub(crate) fn run(side: Side, workload: &Workload, windlass: &Path, flags: &[String]) -> Result<Sample> {
    let plane = side.start(windlass, flags, workload.name == Name::Nodes)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let sample = runtime.block_on(drive(side, workload, &plane));
    runtime.shutdown_background();
    sample.with_context(|| {
        let log = std::fs::read_to_string(plane.log(side.program())).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(10)..).unwrap_or_default().join("\n");
        format!("the controller logged last:\n{tail}")
    })
}

async fn drive(side: Side, workload: &Workload, plane: &ControlPlane) -> Result<Sample> {
    let client = Client::connect(plane.as_user(BENCH_USER)?.kubeconfig()).await?;
    for name in [WARM_UP, NAMESPACE] {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        client.create("/api/v1/namespaces", &namespace).await?;
    }
    let (controller, api_server) = (side.process_id(plane)?, api_server(plane)?);
    let spent = || {
        anyhow::Ok(Spent {
            controller_cpu_seconds: cpu_seconds(controller)?,
            api_server_cpu_seconds: cpu_seconds(api_server)?,
            peak_memory_mib: peak_memory_mib(controller)?,
        })
    };
    if workload.name == Name::Nodes {
        return daemon::drive(&client, workload, &plane.audit_log(), spent).await;
    }
    let kubelet = Kubelet::start(client.clone(), Life::Ends(workload.run_time()));
    let mut jobs = JobWatch::start(client.clone());
    client.create(&batch(WARM_UP, "jobs"), &workload::job("warm-up", 1, 1)).await?;
    within(WARM_UP_LIMIT, "the warm-up", jobs.wait(WARM_UP, 1)).await?;
    tokio::time::sleep(SETTLE).await;
    if workload.cron_jobs > 0 {
        let wait = (CRON_START_SECOND - clock::unix_seconds()).rem_euclid(60);
        tokio::time::sleep(Duration::from_secs(wait.unsigned_abs())).await;
    }

    let before = spent()?;
    let watch = Stopwatch::start();
    tokio::try_join!(
        create(&client, workload, watch),
        within(workload.limit(), "the workload", jobs.wait(NAMESPACE, workload.jobs)),
    )?;
    let wall = watch.elapsed();
    tokio::time::sleep(SETTLE).await;
    let after = spent()?;

    let audited = audit::read(&plane.audit_log(), NAMESPACE, &kubelet.pods(NAMESPACE)?, 0..i64::MAX)?;
    let pods = workload.pods() as usize;
    ensure!(
        audited.end_to_freed.count() >= pods && audited.end_to_counted.count() >= pods,
        "of {pods} Pods the audit log shows {} freed and {} counted",
        audited.end_to_freed.count(),
        audited.end_to_counted.count()
    );
    let skews = audited.skew.count();
    ensure!(
        workload.cron_jobs == 0 || skews >= workload.jobs as usize,
        "of {} runs of CronJobs the audit log shows {skews}",
        workload.jobs
    );
    Ok(Sample::of(wall, &before, &after, audited))
}

/// Creates the Jobs or CronJobs of a workload: each at its time, or all as fast as the server takes them.
async fn create(client: &Client, workload: &Workload, watch: Stopwatch) -> Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    let is_cron = workload.cron_jobs > 0;
    let (count, resource) = if is_cron { (workload.cron_jobs, "cronjobs") } else { (workload.jobs, "jobs") };
    let path = batch(NAMESPACE, resource);
    for number in 0..count {
        let object = if is_cron { workload.cron_job(number) } else { workload.job(number) };
        let (client, path) = (client.clone(), path.clone());
        match workload.interval {
            Some(interval) => {
                tokio::time::sleep((interval * number).saturating_sub(watch.elapsed())).await;
            }
            None if tasks.len() >= CREATES_IN_FLIGHT => {
                tasks.join_next().await.context("a create is under way")???;
            }
            None => {}
        }
        tasks.spawn(async move { client.create(&path, &object).await });
    }
    while let Some(created) = tasks.join_next().await {
        created??;
    }
    Ok(())
}

pub(super) async fn within<T>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let seconds = limit.as_secs();
    tokio::time::timeout(limit, work).await.with_context(|| format!("{what} did not end in {seconds} s"))?
}

fn api_server(plane: &ControlPlane) -> Result<u32> {
    plane.process_ids().get("kube-apiserver").copied().context("no kube-apiserver runs")
}

fn batch(namespace: &str, resource: &str) -> String {
    format!("/apis/batch/v1/namespaces/{namespace}/{resource}")
}
