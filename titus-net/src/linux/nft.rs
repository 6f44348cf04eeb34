//! The program `nft`, run only to set up and tear down.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::Error;
use crate::plan::TABLE_PREFIX;

/// Where `nft` is looked for; the first is the search path, which often lacks the last two.
const PLACES: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];

/// Loads rules, all or nothing.
pub(super) async fn load(rules: String) -> Result<(), Error> {
    run("load the rules with", &["-f", "-"], rules).await.map(drop)
}

/// Removes the tables of that name, if they are there.
pub(super) async fn drop_tables(table: &str) -> Result<(), Error> {
    let drop_one = |family| format!("table {family} {table}\ndelete table {family} {table}\n");
    let rules = ["ip", "bridge"].map(drop_one).concat();
    run("drop the rules with", &["-f", "-"], rules).await.map(drop)
}

/// The elements of the sets called `name` in our networks' tables of family `ip`, by table.
pub(super) async fn sets(name: &str) -> Result<BTreeMap<String, BTreeSet<String>>, Error> {
    let answer = json("list the sets with", &["-j", "list", "sets", "ip"]).await?;
    Ok(sets_of(&answer, name))
}

/// The chains that drop what they do not accept of the packets that pass through, as `family table chain`.
pub(super) async fn closed_forward_chains() -> Result<Vec<String>, Error> {
    let answer = json("list the chains with", &["-j", "list", "chains"]).await?;
    Ok(closed_forward_chains_of(&answer))
}

fn sets_of(answer: &Value, name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let set = |set: &Value| {
        let table = set["table"]
            .as_str()
            .filter(|table| table.starts_with(TABLE_PREFIX))?;
        (set["name"] == name).then(|| (table.to_owned(), strings(&set["elem"])))
    };
    items(answer, "set").filter_map(set).collect()
}

fn closed_forward_chains_of(answer: &Value) -> Vec<String> {
    let closed = |chain: &&Value| {
        let family = &chain["family"];
        chain["hook"] == "forward" && chain["policy"] == "drop" && (family == "ip" || family == "inet")
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = |chain: &Value| ["family", "table", "name"].map(|key| text(&chain[key])).join(" ");
    items(answer, "chain").filter(closed).map(name).collect()
}

fn items<'a>(answer: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    answer["nftables"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(move |item| item.get(kind))
}

fn strings(list: &Value) -> BTreeSet<String> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

async fn json(operation: &'static str, arguments: &'static [&'static str]) -> Result<Value, Error> {
    let output = run(operation, arguments, String::new()).await?;
    serde_json::from_slice(&output).map_err(|source| failed(operation, source.into()))
}

/// Runs `nft` with `input`, away from the runtime's workers, and returns its output.
async fn run(
    operation: &'static str,
    arguments: &'static [&'static str],
    input: String,
) -> Result<Vec<u8>, Error> {
    let work = move || run_here(arguments, input.as_bytes());
    let ran = tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)));
    let output = ran.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::MissingProgram {
            program: "nft",
            package: "nftables",
        },
        _ => failed(operation, source.into()),
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if complaint.contains("Operation not permitted") {
        let operation = format!("{operation} nft");
        return Err(Error::Permission {
            operation,
            source: complaint.into(),
        });
    }
    Err(failed(operation, complaint.into()))
}

fn run_here(arguments: &[&str], input: &[u8]) -> io::Result<Output> {
    let spawn = |place| {
        let mut command = Command::new(place);
        command.args(arguments).env("LC_ALL", "C");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    };
    let mut outcome = Err(io::ErrorKind::NotFound.into());
    for place in PLACES {
        outcome = spawn(place);
        if !matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            break;
        }
    }
    let mut child = outcome?;
    let fed = child
        .stdin
        .take()
        .map_or(Ok(()), |mut stdin| stdin.write_all(input));
    let output = child.wait_with_output()?;
    // A program that ended early says why on its error output, which is worth more than the broken pipe.
    if output.status.success() {
        fed?;
    }
    Ok(output)
}

fn failed(operation: &'static str, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Kernel {
        operation,
        object: "nft".to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(items: &str) -> Value {
        serde_json::from_str(&format!(
            r#"{{"nftables": [{{"metainfo": {{"version": "1.0.6"}}}}, {items}]}}"#
        ))
        .unwrap()
    }

    #[test]
    fn sets_are_read_from_our_tables_only() {
        let answer = answer(
            r#"{"set": {"family": "ip", "name": "closed", "table": "titus_a", "elem": ["eth0", "eth1"]}},
               {"set": {"family": "ip", "name": "closed", "table": "titus_b"}},
               {"set": {"family": "ip", "name": "denied", "table": "titus_a", "elem": ["x"]}},
               {"set": {"family": "ip", "name": "closed", "table": "else", "elem": ["eth2"]}}"#,
        );
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<BTreeSet<_>>()
        };
        let expected = [("titus_a", names(&["eth0", "eth1"])), ("titus_b", names(&[]))];
        assert_eq!(
            sets_of(&answer, "closed"),
            expected.map(|(table, set)| (table.to_owned(), set)).into()
        );
    }

    #[test]
    fn only_forward_chains_that_drop_are_closed() {
        let chain = |family: &str, hook: &str, policy: &str| {
            format!(
                r#"{{"chain": {{"family": "{family}", "table": "filter", "name": "{hook}-{policy}",
                    "hook": "{hook}", "policy": "{policy}"}}}}"#
            )
        };
        let all = [
            chain("ip", "forward", "drop"),
            chain("inet", "forward", "drop"),
            chain("ip", "forward", "accept"),
            chain("ip", "input", "drop"),
            chain("ip6", "forward", "drop"),
            r#"{"chain": {"family": "ip", "table": "filter", "name": "plain"}}"#.to_owned(),
        ];
        let closed = closed_forward_chains_of(&answer(&all.join(",")));
        assert_eq!(closed, ["ip filter forward-drop", "inet filter forward-drop"]);
    }
}
