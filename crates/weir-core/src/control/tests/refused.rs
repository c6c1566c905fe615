//! Every management body that breaks a rule is refused whole, with the path of each fault, and nothing changes.
//!
//! A table of good bodies, one for each command of ARM and of Weir's own API that takes one, with what breaks a rule of
//! each (`commands`); faults are put into a good body in any number and combination.

mod commands;
mod more;

use super::azure::{ACCOUNT, WORKSPACE, done, llama, world};
use super::*;
use commands::{Command, all};

/// A world in which each of the good bodies is welcome.
fn ready() -> World {
    let mut world = world();
    llama(&mut world);
    let standard = json!({"sku": {"name": "Standard"}, "properties": {"model": {"format": "Weir", "name": "simulator-chat"}}});
    done(&mut world, "PUT", &format!("{ACCOUNT}/deployments/standard"), &standard);
    done(&mut world, "PUT", &format!("{ACCOUNT}/raiBlocklists/names"), &json!({}));
    let connection = json!({"properties": {"category": "c", "target": "t", "authType": "None"}});
    done(&mut world, "PUT", &format!("{WORKSPACE}/connections/known"), &connection);
    done(
        &mut world,
        "POST",
        "/api/weir/v1/principals",
        &json!({"id": "p", "name": "somebody", "kind": "user"}),
    );
    world
}

fn break_at(body: &mut Value, path: &str, with: &Value) {
    let mut at = body;
    for part in path.split('.') {
        at = match part.parse::<usize>() {
            Ok(number) => &mut at[number],
            Err(_) => &mut at[part],
        };
    }
    at.clone_from(with);
}

/// A path as answers have it: `a.0.b` is `a[0].b`.
fn told(path: &str) -> String {
    path.split('.').fold(String::new(), |text, part| {
        if part.parse::<usize>().is_ok() {
            format!("{text}[{part}]")
        } else if text.is_empty() {
            part.to_owned()
        } else {
            format!("{text}.{part}")
        }
    })
}

/// Whether `path` is named: itself, or, where the fault is one of a list as a whole, the list.
fn named(answer: &Value, path: &str) -> bool {
    let details = answer["error"]["details"].as_array();
    let path = told(path);
    details
        .into_iter()
        .flatten()
        .any(|detail| detail["target"] == path.as_str() || detail["path"] == path.as_str())
}

fn refused(world: &mut World, command: &Command, faults: &[&(&'static str, Value)]) {
    let mut body = command.good.clone();
    for (path, with) in faults {
        break_at(&mut body, path, with);
    }
    let before = (world.registry.state().clone(), world.rows.clone());
    let (status, answer) = world.admin(command.method, &command.path, &body);
    let what = format!("{} {} {body}: {answer}", command.method, command.path);
    assert_eq!(status, 400, "{what}");
    assert!(before == (world.registry.state().clone(), world.rows.clone()), "{what}");
    for (path, _) in faults {
        assert!(named(&answer, path), "{path} is not named: {what}");
    }
}

#[test]
fn each_fault_alone_is_refused_and_named() {
    for command in all() {
        let mut world = ready();
        for fault in &command.faults {
            refused(&mut world, &command, &[fault]);
        }
        let (status, answer) = world.admin(command.method, &command.path, &command.good);
        assert!((200..=201).contains(&status), "{} {}: {answer}", command.method, command.path);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    /// Several faults at once: all are named.
    #[test]
    fn a_faulty_body_is_refused_whole(at in any::<prop::sample::Index>(), picks in prop::collection::vec(any::<prop::sample::Index>(), 2..5)) {
        let command = at.get(&all()).clone_parts();
        let mut picked: Vec<&(&'static str, Value)> = picks.iter().map(|pick| pick.get(&command.faults)).collect();
        picked.sort_by_key(|(path, _)| *path);
        picked.dedup_by_key(|(path, _)| *path);
        // A part of something that is broken already cannot be broken.
        let inside = |path: &str| picked.iter().any(|(outer, _)| path.starts_with(&format!("{outer}.")));
        // Nor can a default be judged beside versions that cannot be read.
        let blind = |path: &str| path == "default_version" && picked.iter().any(|(other, _)| *other == "versions");
        let picked: Vec<_> = picked.iter().copied().filter(|(path, _)| !inside(path) && !blind(path)).collect();
        refused(&mut ready(), &command, &picked);
    }
}
