//! A control plane starts, runs Jobs on its nodes, keeps who may not out, and leaves nothing behind.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use windlass_control_plane::recorded::is_running;
use windlass_control_plane::{
    Audit, Binaries, BuiltInControllers, ControlPlane, Options, Turn, User, or_skip, start_or_skip,
};

/// A Job like the one in the Kubernetes documentation, whose pods do what `annotations` say.
fn job(name: &str, annotations: &Value) -> String {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name },
        "spec": {
            "backoffLimit": 0,
            "template": {
                "metadata": { "annotations": annotations },
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{ "name": "main", "image": "perl:5.34.0" }],
                },
            },
        },
    })
    .to_string()
}

fn get(plane: &ControlPlane, arguments: &[&str]) -> Result<Value> {
    let text = plane.kubectl(&[arguments, &["-o", "json"]].concat())?;
    serde_json::from_str(&text).context("kubectl printed what is not JSON")
}

#[test]
fn nodes_are_ready_and_jobs_end_as_their_annotations_say() -> Result<()> {
    let options = Options { nodes: 4, controllers: BuiltInControllers::All, ..Options::default() };
    let test = "nodes_are_ready_and_jobs_end_as_their_annotations_say";
    let Some(plane) = start_or_skip(test, options)? else { return Ok(()) };

    let nodes = plane.kubectl(&["get", "nodes", "--no-headers"])?;
    let ready = nodes.lines().filter(|line| line.split_whitespace().nth(1) == Some("Ready")).count();
    assert_eq!(ready, 4, "{nodes}");
    // Without a lease a node is Ready at first and taken for lost after 50 seconds.
    let leases = plane.kubectl(&["get", "leases", "--namespace=kube-node-lease", "--no-headers"])?;
    assert_eq!(leases.lines().count(), 4, "{leases}");

    plane.apply(&job("good", &json!({ "sandbox.windlass.dev/run-seconds": "1.5-2" })))?;
    plane.apply(&job("bad", &json!({ "sandbox.windlass.dev/exit-code": "3" })))?;
    plane.kubectl(&["wait", "--for=condition=Complete", "--timeout=60s", "job/good"])?;
    plane.kubectl(&["wait", "--for=condition=Failed", "--timeout=60s", "job/bad"])?;

    let good = get(&plane, &["get", "pods", "-l", "job-name=good"])?;
    assert_eq!(good["items"][0]["status"]["phase"], "Succeeded");
    let terminated = &good["items"][0]["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&terminated["exitCode"], &terminated["reason"]), (&json!(0), &json!("Completed")));
    let bad = get(&plane, &["get", "pods", "-l", "job-name=bad"])?;
    assert_eq!(bad["items"][0]["status"]["phase"], "Failed");
    let terminated = &bad["items"][0]["status"]["containerStatuses"][0]["state"]["terminated"];
    assert_eq!((&terminated["exitCode"], &terminated["reason"]), (&json!(3), &json!("Error")));

    let never_ready = json!({
        "sandbox.windlass.dev/start-seconds": "0.5",
        "sandbox.windlass.dev/not-ready": "true",
        "sandbox.windlass.dev/run-seconds": "3600",
        "sandbox.windlass.dev/hang-terminating-seconds": "3600",
    });
    plane.apply(&job("unready", &never_ready))?;
    plane.apply(&job("long", &json!({ "sandbox.windlass.dev/run-seconds": "3600" })))?;
    plane.kubectl(&["wait", "--for=create", "--timeout=60s", "pod", "-l", "job-name=long"])?;
    plane.kubectl(&["wait", "--for=condition=Ready", "--timeout=60s", "pod", "-l", "job-name=long"])?;
    plane.kubectl(&["delete", "job", "long", "--timeout=60s"])?;
    plane.kubectl(&["wait", "--for=delete", "--timeout=25s", "pod", "-l", "job-name=long"])?;

    plane.kubectl(&[
        "wait",
        "--for=condition=Ready=False",
        "--timeout=60s",
        "pod",
        "-l",
        "job-name=unready",
    ])?;
    plane.kubectl(&["delete", "pod", "-l", "job-name=unready", "--wait=false"])?;
    plane.kubectl(&["wait", "--for=jsonpath={.status.terminating}=1", "--timeout=60s", "job", "unready"])?;
    let unready = get(&plane, &["get", "pods", "-l", "job-name=unready"])?;
    assert_eq!(unready["items"][0]["status"]["phase"], "Running", "{unready}");
    Ok(())
}

#[test]
fn users_have_the_rights_they_were_granted_and_no_others_and_the_audit_log_knows_them() -> Result<()> {
    let options = Options {
        nodes: 0,
        kubelets: false,
        scheduler: false,
        controllers: BuiltInControllers::None,
        users: vec![User::named("reader")],
        audit: Audit::Metadata,
        ..Options::default()
    };
    let test = "users_have_the_rights_they_were_granted_and_no_others_and_the_audit_log_knows_them";
    let Some(mut plane) = start_or_skip(test, options)? else { return Ok(()) };

    let reader = plane.as_user("reader")?;
    assert!(!reader.output(&["get", "jobs"])?.status.success());
    plane.kubectl(&[
        "create",
        "clusterrole",
        "read-jobs",
        "--verb=get,list,watch",
        "--resource=jobs.batch",
    ])?;
    plane.kubectl(&[
        "create",
        "clusterrolebinding",
        "read-jobs",
        "--clusterrole=read-jobs",
        "--user=reader",
    ])?;
    // Rights reach the authorizer through a watch of its own, so they are asked for until they are there.
    let granted =
        (0..100).any(|_| reader.output(&["get", "jobs"]).is_ok_and(|output| output.status.success()));
    ensure!(granted, "the right to list Jobs was granted and never came");
    let refused = reader.run_with_input(&["create", "-f", "-"], &job("mine", &json!({})));
    let message = format!("{:#}", refused.err().context("a reader created a Job")?);
    assert!(message.contains("User \"reader\" cannot create resource \"jobs\""), "{message}");
    assert!(plane.as_user("nobody").is_err());

    let log = std::fs::read_to_string(plane.audit_log())?;
    assert!(
        log.lines().any(|line| line.contains("\"username\":\"reader\"") && line.contains("\"code\":403"))
    );

    // What was written is still there once the API server has crashed and come back.
    plane.apply(&job("kept", &json!({})))?;
    plane.restart("kube-apiserver")?;
    assert_eq!(get(&plane, &["get", "job", "kept"])?["metadata"]["name"], "kept");
    Ok(())
}

#[test]
fn nothing_is_left_when_a_control_plane_is_dropped() -> Result<()> {
    // The smallest there is.
    let options = Options {
        nodes: 0,
        kubelets: false,
        scheduler: false,
        controllers: BuiltInControllers::None,
        ..Options::default()
    };
    let test = "nothing_is_left_when_a_control_plane_is_dropped";
    let Some(plane) = start_or_skip(test, options)? else { return Ok(()) };
    let (processes, directory) = (plane.process_ids(), plane.directory().to_owned());
    assert_eq!(processes.keys().copied().collect::<Vec<_>>(), ["etcd", "kube-apiserver"]);
    assert!(processes.values().all(|process_id| is_running(*process_id)));
    drop(plane);
    assert!(!processes.values().any(|process_id| is_running(*process_id)));
    assert!(!directory.exists());
    Ok(())
}

#[test]
fn nothing_is_left_when_the_process_that_started_it_is_killed() -> Result<()> {
    let test = "nothing_is_left_when_the_process_that_started_it_is_killed";
    let Some(binaries) = or_skip(test, Binaries::locate())? else { return Ok(()) };
    let _turn = Turn::take(&binaries)?;
    let parent = tempfile::tempdir()?;
    let directory = parent.path().join("cluster");
    let mut starter = Command::new(env!("CARGO_BIN_EXE_control-plane"))
        .args(["up", "--nodes", "1", "--dir"])
        .arg(&directory)
        .stdout(Stdio::piped())
        .spawn()?;
    let printed = first_line(&mut starter)?;
    assert!(printed.starts_with("export KUBECONFIG="), "{printed}");
    let processes = recorded_processes(&directory)?;
    assert_eq!(processes.len(), 5, "{processes:?}");
    assert!(processes.iter().all(|process_id| is_running(*process_id)));
    starter.kill()?;
    starter.wait()?;
    // The watcher is another process: it is given time, by looking again and again.
    let gone = (0..100_000).any(|_| !processes.iter().any(|process_id| is_running(*process_id)));
    ensure!(gone, "some of {processes:?} outlived the process that started them");
    Ok(())
}

#[test]
fn a_detached_control_plane_runs_until_it_is_put_down() -> Result<()> {
    let test = "a_detached_control_plane_runs_until_it_is_put_down";
    let Some(binaries) = or_skip(test, Binaries::locate())? else { return Ok(()) };
    let _turn = Turn::take(&binaries)?;
    let parent = tempfile::tempdir()?;
    let directory = parent.path().join("cluster");
    let control_plane = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_control-plane"))
            .args(arguments)
            .arg("--dir")
            .arg(&directory)
            .output()
    };
    let up = control_plane(&["up", "--nodes", "1", "--detach"])?;
    ensure!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let processes = recorded_processes(&directory)?;
    let second = control_plane(&["up", "--detach"])?;
    let all_running = processes.iter().all(|process_id| is_running(*process_id));
    let down = control_plane(&["down"])?;
    assert!(all_running, "{processes:?}");
    assert!(
        String::from_utf8_lossy(&second.stderr).contains("runs in"),
        "a second one was started over the first"
    );
    assert!(down.status.success(), "{}", String::from_utf8_lossy(&down.stderr));
    assert!(!processes.iter().any(|process_id| is_running(*process_id)));
    assert!(!directory.exists());
    Ok(())
}

fn first_line(child: &mut std::process::Child) -> Result<String> {
    use std::io::{BufRead as _, BufReader};
    let stdout = child.stdout.take().context("the child has no stdout")?;
    BufReader::new(stdout).lines().next().context("the child printed nothing")?.map_err(Into::into)
}

fn recorded_processes(directory: &Path) -> Result<Vec<u32>> {
    let text = std::fs::read_to_string(directory.join("processes.json"))?;
    let record: Value = serde_json::from_str(&text)?;
    let record = record.as_object().context("the record is no object")?;
    record
        .values()
        .map(|process_id| Ok(u32::try_from(process_id.as_u64().context("no process id")?)?))
        .collect()
}
