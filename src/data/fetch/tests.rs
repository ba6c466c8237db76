use std::io::{Read, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use super::*;

/// Three bytes and none, with their sums.
const THREE: File =
    File { name: "three", bytes: 3, sum: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" };
const NONE: File =
    File { name: "none", bytes: 0, sum: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" };
const SMALL: Source = Source { name: "small", mirrors: &[], files: &[THREE, NONE] };

/// A server that answers every request with the same bytes, and what it was asked for.
fn server(answer: &'static [u8]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                request.push(byte[0]);
            }
            let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
            log.lock().unwrap().push(line.clone());
            let file = line.split(' ').nth(1).unwrap_or_default();
            let answer = if file == "/none" { b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" } else { answer };
            let _ = stream.write_all(answer);
        }
    });
    (address, asked)
}

const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc";

/// An address that nobody listens at.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

fn get(mirrors: &[&str], folder: &Path) -> Result<Vec<u64>> {
    let mut seen = Vec::new();
    fetch(&SMALL, mirrors, folder, &mut |_, bytes, _| seen.push(bytes))?;
    Ok(seen)
}

#[test]
fn every_data_set_has_two_mirrors_over_https_and_four_files() {
    for source in &SOURCES {
        assert_eq!((source.mirrors.len(), source.files.len()), (2, 4), "{}", source.name);
        assert!(source.mirrors.iter().all(|mirror| mirror.starts_with("https://") && mirror.ends_with('/')));
        assert!(source.files.iter().all(|file| file.sum.len() == 64 && file.name.ends_with("-ubyte.gz")));
        assert_eq!(super::source(source.name).unwrap().name, source.name);
    }
    assert!(super::source("minst").is_none());
}

#[cfg(feature = "download")]
#[test]
fn files_are_fetched_once_and_then_taken_from_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("elbo/small");
    let (address, asked) = server(GOOD);
    assert_eq!(get(&[&address], &folder).unwrap(), [3]);
    assert_eq!(fs::read(folder.join("three")).unwrap(), b"abc");
    assert_eq!(get(&[&address], &folder).unwrap(), [0; 0]);
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].starts_with("GET /three "), "{asked:?}");
}

#[cfg(feature = "download")]
#[test]
fn a_mirror_that_does_not_help_is_followed_by_the_next_one() {
    for bad in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabd"[..],
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabcabcabc",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
        b"hello",
        b"",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ((bad_address, _), (address, _)) = (server(bad), server(GOOD));
        get(&[&bad_address, &address], folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("three")).unwrap(), b"abc");
        let alone = tempfile::tempdir().unwrap();
        let error = get(&[&bad_address], alone.path()).unwrap_err();
        assert!(error.exit_code() == 3 && !error.to_string().contains('\n'), "{error}");
        assert_eq!(fs::read_dir(alone.path()).unwrap().count(), 0, "nothing is kept of what is wrong");
    }
}

#[test]
fn without_a_mirror_the_message_says_where_to_put_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("elbo/small");
    let (first, second) = (nobody(), nobody());
    let text = get(&[&first, &second], &place).unwrap_err().to_string();
    for words in
        ["small: three could not be fetched (127.0.0.1:", "; 127.0.0.1:", "put three, none into", "--data FOLDER"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(text.contains(place.to_str().unwrap()) && !text.contains('\n'), "{text}");
    assert!(!folder.path().join("elbo").exists(), "nothing is made");
    fs::create_dir_all(&place).unwrap();
    fs::write(place.join("three"), "abc").unwrap();
    fs::write(place.join("none"), "").unwrap();
    assert_eq!(get(&[&first], &place).unwrap(), [0; 0], "files that were put there are taken");
}

#[test]
fn a_file_in_the_cache_that_is_another_one_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for (content, words) in [("abd", "its SHA-256 is"), ("abcd", "it has 4 bytes, and should have 3")] {
        fs::write(folder.path().join("three"), content).unwrap();
        let text = get(&[&nobody()], folder.path()).unwrap_err().to_string();
        assert!(text.contains("three: this is not the file that belongs to small: ") && text.contains(words), "{text}");
        assert_eq!(fs::read_to_string(folder.path().join("three")).unwrap(), content, "it is left as it is");
    }
}

#[cfg(feature = "download")]
#[test]
fn a_disk_that_fills_up_leaves_whole_files_or_none() {
    use crate::durable::fault::{Fault, arm, disarm};
    let (address, _) = server(GOOD);
    for steps in 0.. {
        let cache = tempfile::tempdir().unwrap();
        let folder = cache.path().join("elbo/small");
        arm(steps, Fault::DiskFull);
        let fetched = get(&[&address], &folder);
        if !disarm() {
            assert_eq!(fetched, Ok(vec![3]), "{steps} steps");
            break;
        }
        assert_eq!(fetched.unwrap_err().exit_code(), 6, "step {steps}");
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let (name, size) = (entry.file_name(), entry.metadata().unwrap().len());
            assert!(name == "three" && size == 3 || name == "none" && size == 0, "step {steps}: {name:?}");
        }
    }
}
