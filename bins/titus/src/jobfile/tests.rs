use titus_core::spec::{JobSpec, Limits, example};

use super::*;
use crate::report::render;

fn file(text: &str) -> JobFile {
    match JobFile::parse("web.yaml".into(), text.into()) {
        Ok(file) => file,
        Err(error) => panic!("{}", render(&error, false)),
    }
}

fn unreadable(text: &str) -> String {
    render(
        &JobFile::parse("web.yaml".into(), text.into()).unwrap_err(),
        false,
    )
}

fn refused(text: &str) -> String {
    let file = file(text);
    let violations = JobSpec::parse(file.request.clone(), &Limits::dev()).unwrap_err();
    render(&file.refused(&violations.0), false)
}

const GOOD: &str = "\
owner: { teamEmail: me@example.com }
applicationName: web
container:
  image: { name: host, tag: latest }
  entryPoint: [/bin/true]
batch: { size: 1 }
";

#[test]
fn every_problem_is_shown_with_its_place_and_what_to_do() {
    insta::assert_snapshot!(refused(
        "applicationName: hello
container:
  image: { name: host, tag: latest }
  entryPoint: [/bin/true]
  resources: { cpu: 4000 }
  env:
    A=B: x
    GOOD: y
  attributes:
    titusParameter.agent.killWaitSeconds: soon
  volumes:
    - hostPath: /srv
      mountPath: /data
    - hostPath: ../srv
      mountPath: /proc
batch: { size: 0 }
"
    ));
}

#[test]
fn json_is_as_good_as_yaml() {
    insta::assert_snapshot!(refused(
        "{\n\t\"owner\": {\"teamEmail\": \"me\"},\n\t\"applicationName\": \"web\",\n\t\"container\": \
         {\"image\": {\"name\": \"host\"}},\n\t\"service\": {\"capacity\": {\"desired\": 2}}\n}\n"
    ));
}

#[test]
fn a_name_that_does_not_exist_is_shown_with_those_that_do() {
    insta::assert_snapshot!(unreadable(
        "owner: { teamEmail: me@example.com }\napplicationNam: x\n"
    ));
    insta::assert_snapshot!(unreadable(&GOOD.replace("size: 1", "tasks: 1")));
}

#[test]
fn a_value_of_the_wrong_kind_is_shown() {
    insta::assert_snapshot!(unreadable(&GOOD.replace("size: 1", "size: many")));
    insta::assert_snapshot!(unreadable(&GOOD.replace("[/bin/true]", "/bin/true")));
    insta::assert_snapshot!(unreadable(&GOOD.replace("size: 1", "size: -1")));
    insta::assert_snapshot!(unreadable(&GOOD.replace("{ size: 1 }", "[]")));
    insta::assert_snapshot!(unreadable(
        &GOOD.replace("[/bin/true]", "[/bin/true]\n  env: { E: }")
    ));
    insta::assert_snapshot!(unreadable(
        &GOOD.replace("size: 1", "size: 1, retryOnRuntimeLimit: maybe")
    ));
    insta::assert_snapshot!(unreadable(&GOOD.replace("web", "{}")));
}

#[test]
fn an_empty_file_lacks_everything() {
    insta::assert_snapshot!(refused(""));
}

#[test]
fn broken_yaml_is_shown() {
    insta::assert_snapshot!(unreadable(
        "owner: { teamEmail: me@example.com\napplicationName: x\n"
    ));
    insta::assert_snapshot!(unreadable("applicationName: a\napplicationName: b\n"));
    insta::assert_snapshot!(unreadable("- a\n- b\n"));
    insta::assert_snapshot!(unreadable("# ü\nowner: [é\n"));
    insta::assert_snapshot!(unreadable("--- \na: 1\n---\nb: 2\n"));
}

#[test]
fn what_the_server_refuses_is_shown_in_the_file_too() {
    let faults = [
        FieldFault {
            field: "container.resources.cpu".into(),
            text: "4000 is too much: at most 96 are allowed; write 96 or less".into(),
        },
        FieldFault {
            field: String::new(),
            text: "and 3 more".into(),
        },
    ];
    let text = GOOD.replace("[/bin/true]", "[/bin/true]\n  resources: { cpu: 4000 }");
    let error = file(&text).refused_by_server(&faults);
    assert_eq!(error.exit, Exit::Refused);
    insta::assert_snapshot!(render(&error, false));
}

#[test]
fn what_the_api_cannot_carry_is_refused_here() {
    assert!(file(GOOD).check().is_ok());
    let both = format!("{GOOD}service: {{}}\n");
    let shown = render(&file(&both).check().unwrap_err(), false);
    assert!(
        shown.contains("batch job and a service job at once") && shown.contains("web.yaml:7:"),
        "{shown}"
    );
    let two = GOOD.replace("size: 1", "size: 1, retryPolicy: { immediate: {}, delayed: {} }");
    let shown = render(&file(&two).check().unwrap_err(), false);
    assert!(
        shown.contains("more than one policy") && shown.contains("web.yaml:6:"),
        "{shown}"
    );
}

#[test]
fn scalars_without_quotes_are_texts_where_texts_belong() {
    let text = GOOD.replace(
        "[/bin/true]",
        "[sleep, 5]\n  env: { N: 1, B: true }\n  softConstraints: { constraints: { zoneBalance: true } }",
    );
    let request = file(&text).request;
    assert_eq!(request.container.entry_point, ["sleep", "5"]);
    assert_eq!(request.container.env["N"].expose(), "1");
    assert_eq!(
        request.container.soft_constraints.constraints["zoneBalance"],
        "true"
    );
}

#[test]
fn examples_are_good_job_files() {
    for text in [example::BATCH, example::SERVICE] {
        assert!(file(text).check().is_ok());
    }
}

#[test]
fn a_file_that_is_not_there_or_too_large_is_wrong_usage() {
    let missing = JobFile::read(Path::new("/nowhere/at/all.yaml")).unwrap_err();
    assert_eq!(missing.exit, Exit::Usage);
    assert!(missing.help_text().unwrap().contains("titus job init"));
    let large = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(large.path(), "#".repeat((1 << 20) + 1)).unwrap();
    let refused = JobFile::read(large.path()).unwrap_err();
    assert!(refused.to_string().contains("more than 1 MiB"), "{refused}");
}

#[test]
fn bytes_of_a_hostile_file_cannot_steer_the_terminal() {
    let shown = unreadable("owner: { \"x\\x1b[2J\": 1 }\n");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let shown = refused(&GOOD.replace("web", "\"w\\x1b[2J\""));
    assert!(!shown.contains('\u{1b}'), "{shown}");
}
