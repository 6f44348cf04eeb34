//! Images from a folder of layouts: sound ones run, others are refused and harm nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use tar::EntryType;
use titus_isolation::image::{Image, ImageStore, ImagesConfig};
use titus_isolation::{Error, InitProgram, RootFs, SandboxSpec, User};

use super::layout::{Layer, Layout, shell};
use super::{Host, chain};

fn store(host: &Host) -> ImageStore {
    fs::create_dir_all(host.folder.join("images")).expect("made");
    let mut config = ImagesConfig::new(host.folder.join("layers"));
    config.images = Some(host.folder.join("images"));
    config.init = InitProgram::Installed(super::init());
    config.max_layer_bytes = 64 << 20;
    config.max_layer_entries = 5_000;
    ImageStore::open(config).unwrap_or_else(|e| panic!("{}", chain(&e)))
}

async fn prepare(store: &ImageStore, name: &str) -> Result<Image, Error> {
    store.prepare(&name.parse().expect("a name")).await
}

/// `false`: this host cannot show layers as root's own, and says so.
async fn can_run(host: &Host, spec: &SandboxSpec) -> bool {
    if host.facts().idmapped_mounts == Some(true) {
        return true;
    }
    let refused = titus_isolation::ContainerRuntime::create(&*host.runtime, spec).await;
    assert!(matches!(refused, Err(Error::Missing { .. })), "{refused:?}");
    eprintln!(
        "SKIPPED: this host has no id-mapped mounts for {}",
        host.folder.display()
    );
    false
}

fn spec(host: &Host, image: &Image, id: &str, script: &str) -> SandboxSpec {
    let mut spec = host.spec(id, &[]);
    spec.rootfs = image.rootfs.clone();
    spec.args = image
        .config
        .command(&["/bin/sh".into(), "-c".into()], &[script.to_owned()]);
    spec.env = image.config.environment(&spec.env);
    spec.cwd = image.config.working_dir.clone().into();
    spec.user = User::parse(&image.config.user);
    spec
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn layers_lie_on_each_other_and_belong_to_root_inside() {
    let host = Host::new().await;
    let store = store(&host);
    let mut layout = Layout::at(host.folder.join("images/app"));
    layout.gzip = true;
    layout.config = r#"{"Env":["GREETING=hello"],"WorkingDir":"/data"}"#.to_owned();
    layout.write(&[
        shell()
            .dir("data")
            .file("data/kept", "one\n")
            .file("data/gone", "x")
            .dir("old")
            .file("old/inner", "x")
            .done(),
        Layer::new()
            .file("data/kept", "two\n")
            .file("data/.wh.gone", "")
            .file("old/.wh..wh..opq", "")
            .done(),
        Layer::new().file("old/new", "three\n").done(),
    ]);
    let image = prepare(&store, "app")
        .await
        .unwrap_or_else(|e| panic!("{}", chain(&e)));
    let script =
        "echo $GREETING; cat kept /old/*; ls -n /data | cat; ls /old; echo own > /data/kept; cat kept";
    let spec = spec(&host, &image, "a", script);
    if !can_run(&host, &spec).await {
        return;
    }
    let (code, text) = host.run(&spec).await;
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("hello\ntwo\nthree\n"), "{text}");
    assert!(
        text.ends_with("new\nown\n") && !text.contains("gone") && !text.contains("inner"),
        "{text}"
    );
    let owner: Vec<_> = text.lines().filter(|l| l.ends_with(" kept")).collect();
    assert!(owner[0].starts_with("-rw-r--r-- 1 0 0"), "{text}");
    // What one sandbox wrote the next does not see, and the layers stay as they were.
    let mut again = spec.clone();
    again.id = "b".parse().expect("an id");
    again.logs.dir = host.logs().join("b");
    assert!(host.run(&again).await.1.starts_with("hello\ntwo\n"));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn a_layer_is_unpacked_once_and_an_archive_is_as_good_as_a_folder() {
    let host = Host::new().await;
    let store = store(&host);
    let folder = host.folder.join("images/a");
    Layout::at(&folder).write(&[
        Layer::new().file("x", "1").done(),
        Layer::new().file("y", "2").done(),
    ]);
    let first = prepare(&store, "a")
        .await
        .unwrap_or_else(|e| panic!("{}", chain(&e)));
    let inodes = |image: &Image| -> Vec<(PathBuf, u64)> {
        let RootFs::Layers(layers) = &image.rootfs else {
            panic!("{image:?}")
        };
        layers
            .iter()
            .map(|l| (l.clone(), fs::metadata(l).expect("there").ino()))
            .collect()
    };
    let mut archive = tar::Builder::new(fs::File::create(host.folder.join("images/b.tar")).expect("made"));
    archive.append_dir_all(".", &folder).expect("archived");
    archive.finish().expect("archived");
    let second = prepare(&store, "b:latest")
        .await
        .unwrap_or_else(|e| panic!("{}", chain(&e)));
    assert_eq!(inodes(&first), inodes(&second));
    assert_eq!(first.digest, second.digest);
    let by_digest = format!("a@{}", first.digest.clone().expect("a digest"));
    assert_eq!(
        prepare(&store, &by_digest).await.expect("found").digest,
        first.digest
    );
    assert!(
        prepare(&store, &format!("a@sha256:{}", "0".repeat(64)))
            .await
            .is_err()
    );
    assert_eq!(
        fs::metadata(host.folder.join("layers")).expect("there").mode() & 0o777,
        0o700
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn fifty_layers_run_on_one_mount() {
    let host = Host::new().await;
    let store = store(&host);
    let numbered = (0..49).map(|n| Layer::new().file(&format!("numbers/{n}"), "x").done());
    let layers: Vec<_> = std::iter::once(shell().done()).chain(numbered).collect();
    Layout::at(host.folder.join("images/many")).write(&layers);
    let image = prepare(&store, "many")
        .await
        .unwrap_or_else(|e| panic!("{}", chain(&e)));
    let spec = spec(&host, &image, "a", "set -- /numbers/*; echo $#");
    if can_run(&host, &spec).await {
        assert_eq!(host.run(&spec).await.1, "49\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn an_unknown_image_is_answered_with_those_that_exist() {
    let host = Host::new().await;
    let store = store(&host);
    Layout::at(host.folder.join("images/team/web")).write(&[Layer::new().done()]);
    Layout::at(host.folder.join("images/db")).write(&[Layer::new().done()]);
    let error = prepare(&store, "team/wbe").await.expect_err("unknown");
    let text = chain(&error);
    assert!(
        text.contains("db, team/web") && text.contains("`team/wbe.tar`"),
        "{text}"
    );
    let error = prepare(&store, "host:latest").await.expect_err("not allowed");
    assert!(error.to_string().contains("--allow-host-image"), "{error}");
}

/// What is refused, by what its message says.
fn hostile() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let long = "x".repeat(90);
    let mut deep = Layer::new();
    for n in 0..5_001 {
        deep = deep.file(&format!("f{n}"), "");
    }
    let mut foreign = Layer::new();
    let mut header = tar::Header::new_gnu();
    header.set_path("f").expect("set");
    header.set_uid(70_000);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_mode(0o644);
    header.set_size(0);
    header.set_cksum();
    foreign.0.append(&header, std::io::empty()).expect("appended");
    let mut cut = Layer::new().file("f", &long).done();
    cut.truncate(512 + 40);
    vec![
        ("dots", "`..`", Layer::new().file("../../escaped", "x").done()),
        (
            "dots-inside",
            "`..`",
            Layer::new().file("a/../../escaped", "x").done(),
        ),
        (
            "through-a-link",
            "through a link",
            Layer::new().symlink("l", "/").file("l/escaped", "x").done(),
        ),
        (
            "through-dots",
            "through a link",
            Layer::new()
                .symlink("l", "../../..")
                .file("l/escaped", "x")
                .done(),
        ),
        (
            "hard-link-out",
            "`..`",
            Layer::new()
                .entry(EntryType::Link, "f", "../../../etc/passwd")
                .done(),
        ),
        (
            "hard-link-through",
            "through a link",
            Layer::new()
                .symlink("l", "/etc")
                .entry(EntryType::Link, "f", "l/passwd")
                .done(),
        ),
        (
            "block-device",
            "device nodes",
            Layer::new().entry(EntryType::Block, "disk", "").done(),
        ),
        (
            "char-device",
            "device nodes",
            Layer::new().entry(EntryType::Char, "mem", "").done(),
        ),
        ("too-many", "more than 5000 entries", deep.done()),
        (
            "too-large",
            "larger than",
            Layer::new().bytes("f", &vec![0; 65 << 20], 0o644).done(),
        ),
        ("foreign-owner", "65,535", foreign.done()),
        ("cut-short", "", cut),
        ("no-archive", "", b"this is no archive".repeat(100)),
        (
            "deletes-dots",
            "nothing",
            Layer::new().file("a/.wh...", "").done(),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn hostile_layers_are_refused_and_leave_nothing() {
    let host = Host::new().await;
    let store = store(&host);
    for (name, says, layer) in hostile() {
        let mut layout = Layout::at(host.folder.join("images").join(name));
        layout.gzip = name != "cut-short";
        layout.write(&[layer]);
        let error = prepare(&store, name).await.expect_err(name);
        assert!(matches!(error, Error::Image { .. }), "{name}: {error:?}");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
    let left: Vec<_> = fs::read_dir(host.folder.join("layers"))
        .expect("there")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left, ["lock"]);
    for place in [
        host.folder.clone(),
        host.folder.join("layers"),
        PathBuf::from("/"),
        PathBuf::from("/var/tmp"),
    ] {
        assert!(!place.join("escaped").exists(), "{}", place.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn bytes_that_are_not_what_their_digests_say_are_refused() {
    let host = Host::new().await;
    let store = store(&host);
    let good = Layer::new().file("f", "good").done();
    let mut wrong_id = Layout::at(host.folder.join("images/wrong-id"));
    wrong_id.diff_ids = Some(vec![super::layout::digest(b"something else")]);
    wrong_id.write(std::slice::from_ref(&good));
    let mut few_ids = Layout::at(host.folder.join("images/few-ids"));
    few_ids.diff_ids = Some(Vec::new());
    few_ids.write(std::slice::from_ref(&good));
    // Another blob of the same length under the layer's name.
    let changed = host.folder.join("images/changed");
    Layout::at(&changed).write(std::slice::from_ref(&good));
    let blob = changed
        .join("blobs/sha256")
        .join(&super::layout::digest(&good)["sha256:".len()..]);
    fs::write(&blob, Layer::new().file("f", "evil").done()).expect("written");
    // A blob that is a link to a file of the host.
    let linked = host.folder.join("images/linked");
    Layout::at(&linked).write(std::slice::from_ref(&good));
    let blob = linked
        .join("blobs/sha256")
        .join(&super::layout::digest(&good)["sha256:".len()..]);
    fs::remove_file(&blob).expect("removed");
    std::os::unix::fs::symlink("/etc/passwd", &blob).expect("linked");
    for (name, says) in [
        ("wrong-id", "digests"),
        ("few-ids", "layers"),
        ("changed", "digests"),
        ("linked", "symbolic"),
    ] {
        let error = prepare(&store, name).await.expect_err(name);
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: makes namespaces and cgroups"]
async fn escape_by_links_in_the_places_of_mounts() {
    let host = Host::new().await;
    let store = store(&host);
    let layer = shell()
        .symlink("proc", "/data")
        .symlink("dev", "../../../../tmp")
        .symlink("sys", "/")
        .symlink("etc", "/");
    Layout::at(host.folder.join("images/links")).write(&[layer.dir("data").done()]);
    let image = prepare(&store, "links")
        .await
        .unwrap_or_else(|e| panic!("{}", chain(&e)));
    let script = "cat /proc/self/status | { while read a b; do [ $a = Seccomp: ] && echo $b; done; }; ls -d /proc/sys /dev/null; ls /data; cat /etc/hostname";
    let spec = spec(&host, &image, "a", script);
    if can_run(&host, &spec).await {
        assert_eq!(host.run(&spec).await.1, "2\n/dev/null\n/proc/sys\ninside\n");
    }
}
