//! The lines of a setting.

mod objects;

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use windlass_core::kube::{IntOrPercent, LabelSelector, Labels, Str, TEMPLATE_GENERATION_ANNOTATION};

use super::{DaemonWorld, Template, with_image};
use crate::cases::cron_job::live;
use crate::cases::parse::{duration_ms, instant, instant_ms, labels, pairs};

/// Changes `world` as `line` says.
pub(super) fn apply(line: &str, world: &mut DaemonWorld) -> Result<()> {
    let line = line.split(" #").next().unwrap_or(line).trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "now" => world.now_ms = instant_ms(rest)?,
        "set" => pairs(rest).try_for_each(|(key, value)| set(world, key, value))?,
        "template" => template(world, rest)?,
        "node" => objects::node(world, rest)?,
        "pod" => objects::pod(world, rest)?,
        "revisions" if rest == "none" => world.is_history_given = true,
        "revision" => objects::revision(world, rest)?,
        "gone" => objects::gone(world, rest)?,
        "status" => pairs(rest).try_for_each(|(key, value)| status(world, key, value))?,
        "flags" => pairs(rest).try_for_each(|(key, value)| flag(world, key, value))?,
        "policy" => world.policy.apply(rest)?,
        "live" => world.carried.live_owner = Some(live(rest)?),
        "memo" if rest == "lost" => world.carried.memo.clear(),
        "memo" => {
            world.carried.memo = rest.split(' ').map(|byte| Ok(byte.parse()?)).collect::<Result<_>>()?;
        }
        "plan" if rest == "done" => world.do_last_plan(&[])?,
        "plan" => {
            let failing = rest.strip_prefix("without ").context("a plan is done, or done without STEPS")?;
            let failing = failing.split(',').map(|number| Ok(number.parse()?));
            world.do_last_plan(&failing.collect::<Result<Vec<usize>>>()?)?;
        }
        "show" if rest == "pods" => world.shows.pods = true,
        "show" if rest == "revision" => world.shows.revision = true,
        "show" if rest == "question" => world.shows.question = true,
        _ => bail!(
            "a line begins with one of now, set, template, node, pod, revision, gone, status, flags, policy, live, memo, plan, show"
        ),
    }
    Ok(())
}

fn set(world: &mut DaemonWorld, key: &str, value: &str) -> Result<()> {
    let metadata = &mut world.set.metadata;
    let spec = Arc::make_mut(&mut world.set.spec);
    let strategy = &mut spec.update_strategy;
    match key {
        "name" => metadata.name = value.into(),
        "uid" => metadata.uid = value.into(),
        "generation" => metadata.generation = value.parse()?,
        "deleted" => metadata.deletion_timestamp = Some(instant(value)?),
        "annotations" => Arc::make_mut(&mut metadata.annotations).extend(labels(value)),
        "templateGeneration" => {
            let annotations = Arc::make_mut(&mut metadata.annotations);
            annotations.remove(TEMPLATE_GENERATION_ANNOTATION);
            if value != "none" {
                annotations.insert(TEMPLATE_GENERATION_ANNOTATION.into(), value.into());
            }
        }
        "selector" if value == "none" => spec.selector = Some(LabelSelector::default()),
        "selector" => {
            spec.selector = Some(LabelSelector { match_labels: labels(value), ..LabelSelector::default() });
        }
        "minReady" => spec.min_ready_seconds = Some(i32::try_from(duration_ms(value)? / 1000)?),
        "limit" => spec.revision_history_limit = if value == "none" { None } else { Some(value.parse()?) },
        "strategy" => strategy.kind = value.into(),
        "maxUnavailable" => strategy.rolling_update.get_or_insert_default().max_unavailable = limit(value),
        "maxSurge" => strategy.rolling_update.get_or_insert_default().max_surge = limit(value),
        _ => bail!("a DaemonSet has no field {key}"),
    }
    Ok(())
}

fn limit(value: &str) -> Option<IntOrPercent> {
    let limit = value.parse().map_or_else(|_| IntOrPercent::Text(value.into()), IntOrPercent::Int);
    (value != "none").then_some(limit)
}

/// `image v2`, `labels a=b,c=d`, `annotations a=b`, `finalizers a,b`, `spec {...}` with members to add, or
/// `text {...}` to the byte.
fn template(world: &mut DaemonWorld, text: &str) -> Result<()> {
    let (part, rest) = text.split_once(' ').context("a template has a part and what is in it")?;
    if part == "text" {
        world.template = Template::Text(rest.to_owned());
        return Ok(());
    }
    let Template::Value(template) = &mut world.template else { bail!("the template is a text") };
    let object = |labels: Labels| -> Value {
        labels.iter().map(|(key, value)| (key.to_string(), json!(**value))).collect::<Map<_, _>>().into()
    };
    match part {
        "image" => *template = with_image(template.take(), rest)?,
        "labels" => {
            let mut all = labels(rest);
            all.extend(super::selected());
            template["metadata"]["labels"] = object(all);
        }
        "annotations" => template["metadata"]["annotations"] = object(labels(rest)),
        "finalizers" => template["metadata"]["finalizers"] = rest.split(',').collect(),
        "spec" => {
            let members: Map<String, Value> = serde_json::from_str(rest)?;
            for (key, value) in members {
                template["spec"][key] = value;
            }
        }
        _ => bail!("a template has image, labels, annotations, finalizers, spec, text"),
    }
    Ok(())
}

fn status(world: &mut DaemonWorld, key: &str, value: &str) -> Result<()> {
    let status = &mut world.set.status;
    let number: i32 = if value == "none" { 0 } else { value.parse()? };
    match key {
        "desired" => status.desired_number_scheduled = number,
        "current" => status.current_number_scheduled = number,
        "misscheduled" => status.number_misscheduled = number,
        "updated" => status.updated_number_scheduled = number,
        "ready" => status.number_ready = number,
        "available" => status.number_available = number,
        "unavailable" => status.number_unavailable = number,
        "observed" => status.observed_generation = i64::from(number),
        "collisions" => status.collision_count = (value != "none").then_some(number),
        _ => bail!("a DaemonSet's status has no field {key}"),
    }
    Ok(())
}

/// `maxPods=250`, `backoffBase=1s`, `backoffMax=900s`.
fn flag(world: &mut DaemonWorld, key: &str, value: &str) -> Result<()> {
    match key {
        "maxPods" => world.flags.max_pods_per_sync = value.parse()?,
        "backoffBase" => world.flags.backoff_base_ms = duration_ms(value)?,
        "backoffMax" => world.flags.backoff_max_ms = duration_ms(value)?,
        _ => bail!("there is no flag {key}"),
    }
    Ok(())
}

/// The hash for which `text` stands: `new`, `@2`, or itself.
fn hash(world: &DaemonWorld, text: &str) -> Result<Str> {
    match text {
        "new" => world.present_hash(),
        _ if text.starts_with('@') => world.naming()?.revision_hash(text),
        _ => Ok(text.into()),
    }
}
