//! The containers of a Pod template (upstream: describeContainers).

use std::collections::BTreeMap;

use serde_json::Value;
use windlass_core::kube::Str;

use super::super::columns::Columns;
use super::super::quantity::Quantity;
use super::super::template::{
    Container, ContainerPort, EnvFrom, EnvVar, EnvVarSource, Probe, Resources, VolumeDevice, VolumeMount,
};

/// Writes `containers` under `label`.
pub(super) fn describe_all(out: &mut Columns, label: &str, containers: &[Container]) {
    let none = if containers.is_empty() { " <none>" } else { "" };
    out.line(1, format_args!("{label}:{none}"));
    for container in containers {
        basics(out, container);
        lines(out, "Command", &container.command);
        lines(out, "Args", &container.args);
        amounts(out, "Limits", &container.resources.limits);
        amounts(out, "Requests", &container.resources.requests);
        for (title, probe) in [
            ("Liveness", &container.liveness_probe),
            ("Readiness", &container.readiness_probe),
            ("Startup", &container.startup_probe),
        ] {
            if let Some(probe) = probe {
                out.line(2, format_args!("{title}:\t{}", probe_text(probe)));
            }
        }
        environment_sources(out, &container.env_from);
        environment(out, container);
        mounts(out, container);
    }
}

/// An amount as the API server gives it back; what is no amount stays as it is.
pub(super) fn amount(value: &Value) -> String {
    let text = plain(value);
    Quantity::parse(&text).map_or(text, |quantity| quantity.to_string())
}

/// A scalar without the quotes of JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn basics(out: &mut Columns, container: &Container) {
    out.line(1, format_args!(" {}:", container.name));
    out.line(2, format_args!("Image:\t{}", container.image));
    ports(out, "Port", &container.ports, |port| port.container_port);
    ports(out, "Host Port", &container.ports, |port| port.host_port);
    if let Some(profile) = &container.security_context.seccomp_profile {
        out.line(2, format_args!("SeccompProfile:\t{}", profile.kind));
        if &*profile.kind == "Localhost" {
            out.line(3, format_args!("LocalhostProfile:\t{}", profile.localhost_profile));
        }
    }
}

fn ports(out: &mut Columns, title: &str, ports: &[ContainerPort], number: fn(&ContainerPort) -> i32) {
    let texts: Vec<String> = ports
        .iter()
        .map(|port| {
            let name = if port.name.is_empty() { String::new() } else { format!(" ({})", port.name) };
            format!("{}/{}{name}", number(port), port.protocol)
        })
        .collect();
    match texts.len() {
        0 => out.line(2, format_args!("{title}:\t<none>")),
        1 => out.line(2, format_args!("{title}:\t{}", texts[0])),
        _ => out.line(2, format_args!("{title}s:\t{}", texts.join(", "))),
    }
}

fn lines(out: &mut Columns, title: &str, texts: &[Str]) {
    if texts.is_empty() {
        return;
    }
    out.line(2, format_args!("{title}:"));
    for line in texts.iter().flat_map(|text| text.split('\n')) {
        out.line(3, format_args!("{line}"));
    }
}

fn amounts(out: &mut Columns, title: &str, amounts: &BTreeMap<Str, Value>) {
    if amounts.is_empty() {
        return;
    }
    out.line(2, format_args!("{title}:"));
    for (name, value) in amounts {
        out.line(3, format_args!("{name}:\t{}", amount(value)));
    }
}

fn probe_text(probe: &Probe) -> String {
    let attributes = format!(
        "delay={}s timeout={}s period={}s successThreshold={} failureThreshold={}",
        probe.initial_delay_seconds,
        probe.timeout_seconds,
        probe.period_seconds,
        probe.success_threshold,
        probe.failure_threshold
    );
    if let Some(exec) = &probe.exec {
        return format!("exec [{}] {attributes}", exec.command.join(" "));
    }
    if let Some(get) = &probe.http_get {
        let scheme = get.scheme.to_lowercase();
        let slash = if get.path.is_empty() || get.path.starts_with('/') { "" } else { "/" };
        return format!(
            "http-get {scheme}://{}:{}{slash}{} {attributes}",
            get.host,
            plain(&get.port),
            get.path
        );
    }
    if let Some(socket) = &probe.tcp_socket {
        return format!("tcp-socket {}:{} {attributes}", socket.host, plain(&socket.port));
    }
    if let Some(grpc) = &probe.grpc {
        return format!("grpc <pod>:{} {} {attributes}", grpc.port, grpc.service);
    }
    format!("unknown {attributes}")
}

fn environment_sources(out: &mut Columns, sources: &[EnvFrom]) {
    if sources.is_empty() {
        return;
    }
    out.line(2, format_args!("Environment Variables from:"));
    for source in sources {
        let (from, reference) = match (&source.config_map_ref, &source.secret_ref) {
            (Some(reference), _) => ("ConfigMap", reference),
            (None, Some(reference)) => ("Secret", reference),
            (None, None) => continue,
        };
        let with = if source.prefix.is_empty() {
            String::new()
        } else {
            format!(" with prefix '{}'", source.prefix)
        };
        out.line(3, format_args!("{}\t{from}{with}\tOptional: {}", reference.name, reference.optional));
    }
}

fn environment(out: &mut Columns, container: &Container) {
    let none = if container.env.is_empty() { "\t<none>" } else { "" };
    out.line(2, format_args!("Environment:{none}"));
    for variable in &container.env {
        match &variable.value_from {
            Some(source) => sourced(out, variable, source, &container.resources),
            None => {
                for (position, line) in variable.value.split('\n').enumerate() {
                    let title = if position == 0 { format!("{}:", variable.name) } else { String::new() };
                    out.line(3, format_args!("{title}\t{line}"));
                }
            }
        }
    }
}

fn sourced(out: &mut Columns, variable: &EnvVar, source: &EnvVarSource, resources: &Resources) {
    let name = &variable.name;
    if let Some(field) = &source.field_ref {
        out.line(3, format_args!("{name}:\t ({}:{})", field.api_version, field.field_path));
    } else if let Some(field) = &source.resource_field_ref {
        let share = share(resources, &field.resource, &field.divisor);
        out.line(3, format_args!("{name}:\t{share} ({})", field.resource));
    } else if let Some(key) = &source.secret_key_ref {
        out.line(
            3,
            format_args!(
                "{name}:\t<set to the key '{}' in secret '{}'>\tOptional: {}",
                key.key, key.name, key.optional
            ),
        );
    } else if let Some(key) = &source.config_map_key_ref {
        out.line(
            3,
            format_args!(
                "{name}:\t<set to the key '{}' of config map '{}'>\tOptional: {}",
                key.key, key.name, key.optional
            ),
        );
    }
}

/// What a variable that names a resource will hold, as far as the template says.
fn share(resources: &Resources, resource: &str, divisor: &Value) -> String {
    let Some((list, name)) = resource.split_once('.') else { return String::new() };
    let amounts = if list == "limits" { &resources.limits } else { &resources.requests };
    let decimals = if name == "cpu" { 3 } else { 0 };
    let divisor = Quantity::parse(&plain(divisor)).filter(|divisor| divisor.is_positive());
    let given = amounts.get(name).and_then(|value| Quantity::parse(&plain(value)));
    let share =
        given.and_then(|given| given.divided_up(divisor.unwrap_or(Quantity::ONE), decimals)).unwrap_or(0);
    if share == 0 && matches!(resource, "limits.cpu" | "limits.memory") {
        return "node allocatable".to_owned();
    }
    share.to_string()
}

fn mounts(out: &mut Columns, container: &Container) {
    let none = if container.volume_mounts.is_empty() { "\t<none>" } else { "" };
    out.line(2, format_args!("Mounts:{none}"));
    let mut mounts: Vec<&VolumeMount> = container.volume_mounts.iter().collect();
    mounts.sort_by_key(|mount| &mount.mount_path);
    for mount in mounts {
        let access = if mount.read_only { "ro" } else { "rw" };
        let path =
            if mount.sub_path.is_empty() { String::new() } else { format!(",path={:?}", mount.sub_path) };
        out.line(3, format_args!("{} from {} ({access}{path})", mount.mount_path, mount.name));
    }
    if container.volume_devices.is_empty() {
        return;
    }
    out.line(2, format_args!("Devices:{none}"));
    let mut devices: Vec<&VolumeDevice> = container.volume_devices.iter().collect();
    devices.sort_by_key(|device| &device.device_path);
    for device in devices {
        out.line(3, format_args!("{} from {}", device.device_path, device.name));
    }
}
