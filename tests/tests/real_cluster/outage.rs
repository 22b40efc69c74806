//! Connections that fall silent, and an API server that goes away: both are noticed, and work goes on.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use windlass_control_plane::{Options, start_or_skip};

use super::process::Windlass;

const JOB: &str = include_str!("manifests/pi-calculation.yaml");

#[test]
fn a_silent_connection_is_noticed_within_30_seconds_and_a_lost_server_is_found_again() -> Result<()> {
    let test = "a_silent_connection_is_noticed_within_30_seconds_and_a_lost_server_is_found_again";
    let options = Options { nodes: 1, ..Options::default() };
    let Some(mut plane) = start_or_skip(test, options)? else { return Ok(()) };
    let server: SocketAddr = plane.url().strip_prefix("https://").context("a URL")?.parse()?;
    let proxy = Proxy::start(server)?;
    let kubeconfig = fs::read_to_string(plane.kubeconfig())?;
    let through_proxy = plane.directory().join("through-proxy.kubeconfig");
    fs::write(&through_proxy, kubeconfig.replace(plane.url(), &format!("https://{}", proxy.address)))?;
    let mut windlass = Windlass::run(&through_proxy, &["--engine", "native", "-v", "2"])?;
    windlass.wait_synced()?;

    // Whatever is connected now stays open and is never heard of again.
    proxy.freeze();
    plane.apply(JOB)?;
    let created =
        plane.kubectl(&["wait", "--for=create", "--timeout=30s", "pod", "-l", "job-name=pi-calculation"]);
    if let Err(error) = created {
        return Err(error.context(windlass.kill()?));
    }
    plane.kubectl(&["wait", "--for=condition=Complete", "--timeout=60s", "job/pi-calculation"])?;

    plane.restart("kube-apiserver")?;
    plane.apply(&JOB.replace("pi-calculation", "after-the-outage"))?;
    let complete =
        plane.kubectl(&["wait", "--for=condition=Complete", "--timeout=120s", "job/after-the-outage"]);
    let (status, log) = windlass.terminate()?;
    complete.with_context(|| log.clone())?;
    assert_eq!(status.code(), Some(0), "{log}");
    Ok(())
}

/// Passes bytes on, until it is told to swallow those of every connection that it has.
struct Proxy {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
}

impl Proxy {
    fn start(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let connections = Arc::new(Mutex::new(Vec::new()));
        let list = connections.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(server) else { continue };
                let frozen = Arc::new(AtomicBool::new(false));
                list.lock().unwrap_or_else(PoisonError::into_inner).push(frozen.clone());
                let ends = [
                    client.try_clone().and_then(|from| Ok((from, server.try_clone()?))),
                    Ok((server, client)),
                ];
                for (from, to) in ends.into_iter().flatten() {
                    let frozen = frozen.clone();
                    std::thread::spawn(move || pass_on(from, to, &frozen));
                }
            }
        });
        Ok(Self { address, connections })
    }

    fn freeze(&self) {
        for frozen in &*self.connections.lock().unwrap_or_else(PoisonError::into_inner) {
            frozen.store(true, Ordering::SeqCst);
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, frozen: &AtomicBool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        let Some(data) = buffer.get(..length) else { return };
        if !frozen.load(Ordering::SeqCst) && to.write_all(data).is_err() {
            return;
        }
    }
    if !frozen.load(Ordering::SeqCst) {
        // The other end may have gone first.
        let _ = to.shutdown(Shutdown::Both);
    }
}
