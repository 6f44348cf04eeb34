use titus_api::v3;

use super::*;
use crate::job::view::tests::batch;

fn rendered(format: Format) -> String {
    let jobs = v3::JobQueryResult {
        items: vec![batch()],
        pagination: None,
    };
    let view = |wide| format!("wide: {wide}\n");
    let ids = || jobs.items.iter().map(|job| job.id.clone()).collect();
    render(format, &jobs, view, ids).unwrap()
}

#[test]
fn json_is_the_apis() {
    insta::assert_snapshot!(rendered(Format::Json));
    let value: serde_json::Value = serde_json::from_str(&rendered(Format::Json)).unwrap();
    assert_eq!(value["items"][0]["status"]["state"], "Finished");
    assert_eq!(value["items"][0]["status"]["timestamp"], "1700000001500");
}

#[test]
fn yaml_says_the_same_as_json() {
    insta::assert_snapshot!(rendered(Format::Yaml));
    let json: serde_json::Value = serde_json::from_str(&rendered(Format::Json)).unwrap();
    let yaml: serde_json::Value = serde_saphyr::from_str(&rendered(Format::Yaml)).unwrap();
    assert_eq!(yaml, json);
}

#[test]
fn people_get_columns_and_scripts_get_ids() {
    assert_eq!(rendered(Format::Table), "wide: false\n");
    assert_eq!(rendered(Format::Wide), "wide: true\n");
    assert_eq!(rendered(Format::Name), "0198f3c2-1111-8abc-8000-000000000001\n");
}

#[test]
fn columns_line_up_and_an_empty_cell_is_seen() {
    let mut table = Table::new(&["ID", "NAME"]);
    table.row(["1".to_owned(), "né".to_owned()]);
    table.row(["long one".to_owned(), String::new()]);
    assert_eq!(table.render(), "ID        NAME\n1         né\nlong one  -\n");
    let mut facts = Facts::default();
    facts.add("a", "1").add("empty", "").add("long", "2\n");
    assert_eq!(facts.render(), "a     1\nlong  2\\n\n");
}
