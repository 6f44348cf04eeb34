use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use crate::spec::LogConfig;

const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// Makes both files, as a real sandbox does before it starts.
pub(super) fn open(config: &LogConfig) -> io::Result<()> {
    fs::create_dir_all(&config.dir)?;
    STREAMS.iter().try_for_each(|name| {
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(config.dir.join(name))
            .map(drop)
    })
}

/// Appends with the same bounds and rotation as a real sandbox's.
pub(super) fn write(config: &LogConfig, stream: usize, mut bytes: &[u8]) -> io::Result<()> {
    let name = STREAMS[stream];
    while !bytes.is_empty() {
        let path = config.dir.join(name);
        let size = fs::metadata(&path).map_or(0, |m| m.len());
        if size >= config.max_bytes {
            rotate(config, name)?;
            continue;
        }
        let room = usize::try_from(config.max_bytes - size).unwrap_or(usize::MAX);
        let (now, later) = bytes.split_at(bytes.len().min(room));
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?
            .write_all(now)?;
        bytes = later;
    }
    Ok(())
}

fn rotate(config: &LogConfig, name: &str) -> io::Result<()> {
    let part = |number: u32| -> PathBuf {
        config.dir.join(if number == 0 {
            name.to_owned()
        } else {
            format!("{name}.{number}")
        })
    };
    for number in (0..config.files).rev().filter(|n| part(*n).exists()) {
        if number + 1 >= config.files {
            fs::remove_file(part(number))?;
        } else {
            fs::rename(part(number), part(number + 1))?;
        }
    }
    Ok(())
}
