//! Start, probes, end, and what is said where something is wrong: one sentence that names the mend.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use windlass_control_plane::{ControlPlane, Options, User, start_or_skip};

use super::cron_jobs;
use super::process::{Ended, Windlass, windlass};

/// The last line, after making sure that it is the only one that tells of the failure.
fn sentence(ended: &Ended) -> Result<&str> {
    let mut told = ended.stderr.lines().filter(|line| line.starts_with("windlass: "));
    let line = told.next().with_context(|| format!("nothing was told:\n{}", ended.stderr))?;
    ensure!(told.next().is_none(), "more than one sentence:\n{}", ended.stderr);
    ensure!(ended.stderr.trim_end().ends_with(line), "the sentence is not the last line:\n{}", ended.stderr);
    Ok(line)
}

fn kubeconfig(directory: &Path, server: &str) -> Result<String> {
    let path = directory.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "users": [{"name": "it", "user": {"token": "secret-token"}}],
    });
    fs::write(&path, config.to_string())?;
    Ok(path.display().to_string())
}

#[test]
fn wrong_usage_exits_2_and_names_the_mend() -> Result<()> {
    let cases: [(&[&str], &str); 7] = [
        (&["run", "--worker", "2"], "'--workers'"),
        (&["run", "--engine", "quantum"], "wasm, native"),
        (&["run", "--controllers", "deployment"], "daemon-set"),
        (&["run", "--leader-elect=true"], "leave it out"),
        (&["run", "--config", "/nonexistent/windlass.yaml"], "--config"),
        (&["run", "--job-backoff-base", "soon"], "such as 10s"),
        (&["rum"], "run"),
    ];
    for (arguments, mend) in cases {
        let ended = windlass(arguments)?;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{arguments:?}: {}", ended.stderr);
        assert!(sentence(&ended)?.contains(mend), "{arguments:?}: {}", ended.stderr);
    }
    Ok(())
}

#[test]
fn a_cluster_out_of_reach_ends_the_start_with_its_url_and_what_to_check() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let server = format!("https://{}", listener.local_addr()?);
    drop(listener);
    let kubeconfig = kubeconfig(directory.path(), &server)?;
    let ended = windlass(&[
        "run",
        "--engine=native",
        "--bind-address=127.0.0.1:0",
        "--startup-timeout=1s",
        "--kubeconfig",
        &kubeconfig,
    ])?;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let told = sentence(&ended)?;
    assert!(told.contains(&server) && told.contains("refused") && told.contains("check"), "{told}");
    assert!(!ended.stderr.contains("secret-token"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn a_kubeconfig_that_cannot_be_read_is_named() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let broken = directory.path().join("broken");
    fs::write(&broken, "clusters: [")?;
    let broken = broken.display().to_string();
    for path in ["/nonexistent/kubeconfig", &broken] {
        let ended =
            windlass(&["run", "--engine=native", "--bind-address=127.0.0.1:0", "--kubeconfig", path])?;
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let told = sentence(&ended)?;
        assert!(told.contains(path) && told.contains("--kubeconfig"), "{told}");
    }
    Ok(())
}

#[test]
fn it_asks_for_just_the_rights_that_it_needs_and_ends_well_when_told_to() -> Result<()> {
    let test = "it_asks_for_just_the_rights_that_it_needs_and_ends_well_when_told_to";
    let options = Options { users: [User::named("windlass")].into(), nodes: 1, ..Options::default() };
    let Some(plane) = start_or_skip(test, options)? else { return Ok(()) };
    let kubectl = plane.as_user("windlass")?;
    let path = kubectl.kubeconfig().display().to_string();

    let run = ["run", "--engine=native", "--bind-address=127.0.0.1:0", "--kubeconfig", &path];
    let ended = windlass(&[&run[..], &["--controllers=job"]].concat())?;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let told = sentence(&ended)?;
    assert!(told.contains("no permission to list jobs.batch") && !told.contains("cronjobs"), "{told}");
    let ended = windlass(&[&run[..], &["--controllers=cron-job"]].concat())?;
    let told = sentence(&ended)?;
    assert!(told.contains("no permission to list cronjobs.batch") && !told.contains("pods"), "{told}");
    let ended = windlass(&run)?;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    grant(&plane, sentence(&ended)?)?;

    let mut windlass = Windlass::run(kubectl.kubeconfig(), &["--engine", "native", "-v", "2"])?;
    windlass.wait_synced()?;
    plane.apply(include_str!("manifests/pi-calculation.yaml"))?;
    plane.kubectl(&["wait", "--for=condition=Complete", "--timeout=60s", "job/pi-calculation"])?;
    // It is made, counted, and deleted, for there is to be no history.
    plane.apply(&cron_jobs::cron_job("nightly", &cron_jobs::spec(0)).to_string())?;
    cron_jobs::last_run_was_long_ago(&plane, "nightly")?;
    plane.kubectl(&[
        "wait",
        "--for=jsonpath={.status.lastSuccessfulTime}",
        "--timeout=60s",
        "cronjob/nightly",
    ])?;
    let nightly = cron_jobs::read(&plane, &["get", "cronjob", "nightly"])?;
    let last: jiff::Timestamp =
        nightly["status"]["lastScheduleTime"].as_str().context("lastScheduleTime")?.parse()?;
    let job = format!("job/nightly-{}", last.as_second() / 60);
    plane.kubectl(&["wait", "--for=delete", "--timeout=60s", &job])?;

    let (code, ready) = windlass.get("/readyz?verbose")?;
    assert_eq!(code, 200, "{ready}");
    assert!(ready.contains("[+]caches-synced ok") && ready.contains("readyz check passed"), "{ready}");
    assert_eq!(windlass.get("/livez")?, (200, "ok".to_owned()));
    assert_eq!(windlass.get("/healthz")?, (200, "ok".to_owned()));
    let (_, metrics) = windlass.get("/metrics")?;
    for line in [
        "job_controller_jobs_finished_total{completion_mode=\"NonIndexed\",result=\"succeeded\",reason=\"CompletionsReached\"} 2",
        "job_controller_job_pods_finished_total{completion_mode=\"NonIndexed\",result=\"succeeded\"} 1",
        "job_controller_job_pods_creation_total{reason=\"new\",status=\"succeeded\"} 1",
        "windlass_requests_total{verb=\"create\",resource=\"pods\",code=\"201\"} 1",
        "windlass_requests_total{verb=\"create\",resource=\"jobs\",code=\"201\"} 1",
        "windlass_requests_total{verb=\"delete\",resource=\"jobs\",code=\"200\"} 1",
        "workqueue_depth{name=\"job\"} 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }

    let (status, log) = windlass.terminate()?;
    assert_eq!(status.code(), Some(0), "{log}");
    Ok(())
}

/// Grants the rules that a refusal names, and nothing else but the recording of Events.
fn grant(plane: &ControlPlane, told: &str) -> Result<()> {
    let rules = told.rsplit("ClusterRole: ").next().context("rules")?;
    let manifest = format!(
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: windlass}}\nrules: [{rules}, \
         {{apiGroups: [events.k8s.io], resources: [events], verbs: [create]}}]\n"
    );
    plane.apply(&manifest)?;
    plane.kubectl(&[
        "create",
        "clusterrolebinding",
        "windlass",
        "--clusterrole=windlass",
        "--user=windlass",
    ])?;
    Ok(())
}
