//! Models of sequences: that what is spelled token by token is what training computes, and what a run is asked.

use crate::program::{elbo, json, read_by};
use crate::support::{ROUNDING, compare, executors};
use elbo::config;
use elbo::data;
use elbo::data::music::{Music, Note, midi, tidy};
use elbo::model::LOGITS;
use elbo::model::sequence::{NEXT_UNITS, TOKEN, UNITS};
use elbo::model::tasks::{BEGIN, EXPLAIN, NEXT};
use elbo::plan::Role;
use elbo::rng::Stream;
use elbo::session::{BATCH, Choice, Purpose, Session};
use std::fs;
use std::path::Path;

/// Sentences of a small language.
fn sentences() -> String {
    let [who, does, whom] = [
        ["the cat", "a dog", "my aunt", "the king"],
        ["sees", "likes", "finds", "calls"],
        ["a bird", "the sea", "me", "her son"],
    ];
    let mut all = Vec::new();
    for round in 0..6 {
        for (at, a) in who.iter().enumerate() {
            for b in does {
                for c in whom {
                    all.push(format!("{a} {b} {c}{}\n", if (at + round) % 3 == 0 { "." } else { "" }));
                }
            }
        }
    }
    all.concat()
}

const SMALL: &str = "--set hidden=[24] --set decoder=[20,16] --set embedding=8 --set latent=4 --batch 32 --adapter cpu";

/// A session with its first parameters and the sentences, on the executor of this number.
fn session(device: usize, folder: &Path, cell: &str) -> Session {
    fs::write(folder.join("lines.txt"), sentences()).unwrap();
    session_of(device, folder, cell)
}

/// The same of what stands in `lines.txt`.
fn session_of(device: usize, folder: &Path, cell: &str) -> Session {
    let source = folder.join("lines.txt");
    let settings = [
        ("data.source", source.display().to_string()),
        ("hidden", "[9, 7]".into()),
        ("decoder", "[6, 8]".into()),
        ("embedding", "5".into()),
        ("latent", "3".into()),
        ("seed", "5".into()),
        ("cell", cell.into()),
        ("bidirectional", (cell == "lstm").to_string()),
        ("heads", "5".into()),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value));
    let config = config::resolve(Some("text"), &settings).expect("the settings are valid");
    let data = data::open(&config, None).expect("there are lines");
    let mut session = Session::new(config, data, executors().swap_remove(device)).expect("the model fits");
    session.plan(Purpose::Train).expect("the plan fits");
    session.initialise().expect("the parameters fit");
    session
}

#[test]
fn what_is_spelled_step_by_step_is_what_training_computes_of_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let cells = ["gru", "lstm", "transformer"];
    for (device, cell) in (0..executors().len()).flat_map(|device| cells.map(|cell| (device, cell))) {
        let mut session = session(device, folder.path(), cell);
        let wide = session.model.decoder_state();
        let (places, vocabulary) = (session.model.width, session.model.vocabulary());
        assert_eq!(wide, [14, 28, places + 1][cells.iter().position(|known| *known == cell).unwrap()]);
        let examples: Vec<u32> = (0..5).collect();
        let explain = session.plan(Purpose::task(EXPLAIN, BATCH)).unwrap();
        session.set_order(&examples).unwrap();
        let scalars = session.scalars(0, Stream::Evaluate, 0, examples.len());
        session.run(explain, &[scalars]).unwrap();
        let whole = session.output("out", examples.len(), places * vocabulary).unwrap();
        let means = session.encode(&examples, 0).unwrap().means;
        let lines: Vec<Vec<u32>> =
            examples.iter().map(|&example| session.data().unwrap().tokens(example as usize).unwrap()).collect();
        let [begin, next] = [BEGIN, NEXT].map(|task| session.plan(Purpose::task(task, BATCH)).unwrap());
        session.executor.write_f32(&Role::Input("z".into()), 0, &means).unwrap();
        session.run(begin, &[scalars]).unwrap();
        let mut units = session.output(NEXT_UNITS, examples.len(), wide).unwrap();
        for place in 0..places {
            let before = |line: &Vec<u32>| place.checked_sub(1).map_or(0.0, |at| line[at] as f32);
            let tokens: Vec<f32> = lines.iter().map(before).collect();
            session.executor.write_f32(&Role::Input(TOKEN.into()), 0, &tokens).unwrap();
            session.executor.write_f32(&Role::Input(UNITS.into()), 0, &units).unwrap();
            session.run(next, &[scalars]).unwrap();
            let found = session.output(LOGITS, examples.len(), vocabulary).unwrap();
            units = session.output(NEXT_UNITS, examples.len(), wide).unwrap();
            let of_line = |line: usize| &whole[(line * places + place) * vocabulary..][..vocabulary];
            let expected: Vec<f32> = (0..examples.len()).flat_map(|line| of_line(line).to_vec()).collect();
            compare(&expected, &found, ROUNDING)
                .unwrap_or_else(|why| panic!("device {device}, {cell}, place {place}: {why}"));
        }
    }
}

/// Attention sees nothing behind a place in the decoder and nothing behind the end in the encoder: whatever is there changes no bit.
#[test]
fn attention_is_blind_to_what_comes_later_and_to_padding() {
    let folder = tempfile::tempdir().unwrap();
    for device in 0..executors().len() {
        let mut session = session(device, folder.path(), "transformer");
        let (places, vocabulary) = (session.model.width, session.model.vocabulary());
        let lines = BATCH.min(places);
        let next = session.plan(Purpose::task(NEXT, BATCH)).unwrap();
        let scalars = session.scalars(0, Stream::Evaluate, 0, lines);
        let z: Vec<f32> = (0..3 * lines).map(|at| (at % 3) as f32 - 0.7).collect();
        session.executor.write_f32(&Role::Input("z".into()), 0, &z).unwrap();
        // Row r asks for its place r; behind it stand other tokens each time. What comes before is told apart.
        let ask = |session: &mut Session, changed: &dyn Fn(usize, usize) -> bool| {
            let token =
                |row: usize, place: usize| 3 + (5 * place + usize::from(changed(row, place))) % (vocabulary - 3);
            let state = |row: usize| (0..places).map(move |place| token(row, place) as f32).chain([row as f32]);
            let states: Vec<f32> = (0..lines).flat_map(state).collect();
            let tokens: Vec<f32> = (0..lines).map(|row| token(row, row) as f32).collect();
            session.executor.write_f32(&Role::Input(TOKEN.into()), 0, &tokens).unwrap();
            session.executor.write_f32(&Role::Input(UNITS.into()), 0, &states).unwrap();
            session.run(next, &[scalars]).unwrap();
            let bits = session.output(LOGITS, lines, vocabulary).unwrap().into_iter().map(f32::to_bits);
            bits.collect::<Vec<u32>>().chunks_exact(vocabulary).map(<[u32]>::to_vec).collect::<Vec<_>>()
        };
        let first = ask(&mut session, &|_, _| false);
        let later = ask(&mut session, &|row, place| place > row);
        let earlier = ask(&mut session, &|row, place| place + 1 == row);
        assert!(first == later, "device {device}: what comes later is seen");
        assert!((1..lines).all(|row| first[row] != earlier[row]), "device {device}: what came before is not seen");
        // What stands for padding in the encoder; a line has no other.
        let examples: Vec<u32> = (0..5).collect();
        let before = session.encode(&examples, 0).unwrap().means;
        let slot = session.ranges().into_iter().find(|slot| slot.name == "encoder.embedding").unwrap();
        let changed = |session: &mut Session, row: usize| {
            session.executor.write_f32(&Role::Parameters, slot.offset + 5 * row, &[9.0, -3.0, 7.0, 2.0, -8.0]).unwrap();
            session.encode(&examples, 0).unwrap().means
        };
        assert!(changed(&mut session, 0) == before, "device {device}: padding is seen");
        assert!(changed(&mut session, 1) != before, "device {device}: the end is not seen");
    }
}

#[test]
fn a_draw_is_a_function_of_its_number_and_others_beside_it_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = session(0, folder.path(), "gru");
    let choice = Choice { temperature: 1.0, top_k: 0, top_p: 1.0 };
    let numbers: Vec<u32> = (0..BATCH as u32 + 3).collect();
    let latents = session.latents(&numbers, 7).unwrap();
    let all = session.spell(&latents, &numbers, choice, 7).unwrap();
    let last = session.spell(&latents[3 * (BATCH + 2)..], &numbers[BATCH + 2..], choice, 7).unwrap();
    assert_eq!(last[0], all[BATCH + 2]);
    assert_ne!(all[0], all[1]);
    assert!(all.iter().flatten().all(|&token| token > 2), "neither padding nor unknown is drawn");
    assert!(session.spell(&latents[1..], &numbers, choice, 7).is_err());
}

/// log p(sequence|z) of every sequence of up to as many tokens as there are places, token by token; a token for the end, but of those
/// that fill all places.
fn all_sequences(session: &mut Session, z: &[f32]) -> Vec<(f64, Vec<u32>)> {
    let (places, vocabulary, wide) = (session.model.width, session.model.vocabulary(), session.model.decoder_state());
    let [begin, next] = [BEGIN, NEXT].map(|task| session.plan(Purpose::task(task, BATCH)).unwrap());
    let scalars = session.scalars(0, Stream::Evaluate, 0, 1);
    session.executor.write_f32(&Role::Input("z".into()), 0, z).unwrap();
    session.run(begin, &[scalars]).unwrap();
    let (mut whole, mut begun) = (Vec::new(), vec![(0.0, vec![], session.output(NEXT_UNITS, 1, wide).unwrap())]);
    for place in 0..places {
        for (score, tokens, state) in std::mem::take(&mut begun) {
            let before = tokens.last().map_or(0.0, |&token: &u32| token as f32);
            session.executor.write_f32(&Role::Input("z".into()), 0, z).unwrap();
            session.executor.write_f32(&Role::Input(TOKEN.into()), 0, &[before]).unwrap();
            session.executor.write_f32(&Role::Input(UNITS.into()), 0, &state).unwrap();
            session.run(next, &[scalars]).unwrap();
            let logits = session.output(LOGITS, 1, vocabulary).unwrap();
            let state = session.output(NEXT_UNITS, 1, wide).unwrap();
            let total = logits.iter().map(|&logit| f64::from(logit).exp()).sum::<f64>().ln();
            // The end, and then all tokens of the text.
            for token in [1].into_iter().chain(3..vocabulary as u32) {
                let score: f64 = score + f64::from(logits[token as usize]) - total;
                let longer = [&tokens[..], if token == 1 { &[] } else { std::slice::from_ref(&token) }].concat();
                if token == 1 || place + 1 == places {
                    whole.push((score, longer));
                } else {
                    begun.push((score, longer, state.clone()));
                }
            }
        }
    }
    whole
}

#[test]
fn a_wide_beam_finds_the_likeliest_sequence_of_all_and_a_narrow_one_the_likeliest_tokens() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lines.txt"), "ab\nba\naab\nb\n".repeat(20)).unwrap();
    let mut session = session_of(0, folder.path(), "lstm");
    assert_eq!((session.model.width, session.model.vocabulary()), (4, 5));
    // So large that tokens are far from equally likely.
    let latents: Vec<f32> = (0..30).map(|at| 6.0 * ((at * 7 % 11) as f32 - 5.0)).collect();
    let numbers: Vec<u32> = (0..10).collect();
    let greedy = session.spell(&latents, &numbers, Choice::GREEDY, 0).unwrap();
    assert_eq!(session.search(&latents, 1).unwrap(), greedy);
    let found = session.search(&latents, 16).unwrap();
    let mut apart = 0;
    for ((z, found), greedy) in latents.chunks_exact(3).zip(&found).zip(&greedy) {
        let mut all = all_sequences(&mut session, z);
        assert_eq!(all.len(), 1 + 2 + 4 + 8 + 16);
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        assert_eq!(found, &all[0].1, "{all:?}");
        apart += usize::from(found != greedy);
    }
    assert!(apart > 0, "the likeliest tokens were the likeliest sequence every time: nothing was searched");
    assert!(session.search(&latents, 0).is_err() && session.search(&latents, BATCH + 1).is_err());
}

#[test]
fn a_run_of_text_is_evaluated_drawn_spelled_and_scored() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    fs::write(folder.join("lines.txt"), sentences()).unwrap();
    let described = elbo(folder, "data lines.txt --json").succeeded().out;
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described["tokens"]["kind"], "characters");
    assert_eq!(described["shape"][2], described["tokens"]["most"].as_f64().unwrap() as u64 + 1);
    elbo(folder, &format!("train --data lines.txt {SMALL} --epochs 4 --set lr=0.01 --out run")).succeeded();
    let found = json(folder, "eval run --samples 8");
    let number = |key: &str| found[key].as_f64().unwrap();
    let each = number("neg_elbo") / number("tokens");
    assert!((number("nats_per_token") - each).abs() < 1e-9 && (number("perplexity") - each.exp()).abs() < 1e-9);
    assert!(number("perplexity") < 12.0, "characters of few sentences are not that many");
    assert!((0.0..=1.0).contains(&number("reconstruction_accuracy")));
    assert!(number("neg_log_px") < number("neg_elbo"));

    let draw = |more: &str, to: &str| {
        elbo(folder, &format!("sample run -n 20 {more} --out {to} --adapter cpu")).succeeded();
        fs::read_to_string(folder.join(to)).unwrap()
    };
    let plain = draw("", "a.txt");
    assert_eq!(plain.lines().count(), 20);
    assert_eq!(plain, draw("--temperature 1", "b.txt"), "the same seed draws the same");
    assert_ne!(plain, draw("--temperature 0.3 --top-k 5 --top-p 0.9", "c.txt"));
    elbo(folder, "reconstruct run -n 4 --out pairs.txt --adapter cpu").succeeded();
    assert_eq!(fs::read_to_string(folder.join("pairs.txt")).unwrap().lines().count(), 12);
    assert_eq!(json(folder, "reconstruct run -n 4 --beam 3")["pairs"].as_array().unwrap().len(), 4);
    let lines = json(folder, "interpolate run --pair 0,5 --steps 4")["lines"].clone();
    assert_eq!(lines[0].as_array().unwrap().len(), 6);
    elbo(folder, "embed run --out z.csv --std --adapter cpu").succeeded();
    elbo(folder, "score run --samples 4 --out scores.csv --features --adapter cpu").succeeded();
    assert!(
        folder.join("run/samples/epoch-0004.txt").is_file()
            && folder.join("run/samples/reconstruction-0004.txt").is_file()
    );

    for (command, code, culprit) in [
        (
            "decode run z.csv --out a.npy --adapter cpu",
            2,
            "is for models of pictures, tables and arrays; this one is of sequences of tokens",
        ),
        ("latent run --adapter cpu", 2, "elbo latent is for models of pictures, tables and arrays"),
        ("traverse run --adapter cpu", 2, "elbo traverse is for models of pictures, tables and arrays"),
        ("impute run --out a.csv", 2, "elbo impute is for models of pictures, tables and arrays"),
        (
            "export run --format web --out page",
            2,
            "elbo export --format web is for models of pictures, tables and arrays",
        ),
        ("export run --format safetensors --out st", 2, "a model of sequences is exported with `--format onnx`"),
        ("sample run --compare", 2, "--compare: this is a model of sequences"),
        ("sample run --temperature -1", 2, "--temperature -1"),
        ("sample run --top-p 0", 2, "--top-p 0"),
        ("sample run --out a.png", 2, "--out a.png: the file's name is to end in .txt"),
        ("reconstruct run --out a.png", 2, "--out a.png: the file's name is to end in .txt"),
        ("sample nowhere --temperature 0.5", 3, "no such folder: nowhere"),
        ("report run", 2, "elbo report is for models of pictures, tables and arrays"),
        ("augment run --out more.csv", 2, "elbo augment is for models of pictures, tables and arrays"),
        ("reconstruct run --as-class 1", 2, "--as-class: a model of sequences is told no classes"),
        ("reconstruct run --beam 0 --adapter cpu", 2, "--beam 0: expected a number from 1 to 128"),
    ] {
        elbo(folder, command).failed(code, culprit);
    }
    elbo(folder, "export run --format onnx --out onnx").succeeded();
    for name in
        ["encoder.onnx", "decoder.onnx", "begin.onnx", "step.onnx", "vocabulary.json", "config.json", "README.md"]
    {
        assert!(folder.join("onnx").join(name).is_file(), "{name}");
    }
    fs::write(folder.join("other.txt"), "the cat\nthe\u{fc}\n").unwrap();
    elbo(folder, "eval run --data other.txt --part train --adapter cpu")
        .failed(3, "line 2: the model was not trained on the token");
    elbo(folder, "eval run --data other.txt --part train --unknown anomalous --adapter cpu").succeeded();
    fs::write(folder.join("one.txt"), "the cat\n").unwrap();
    elbo(folder, "score run --data one.txt --samples 4 --threshold none --out one.csv --adapter cpu").succeeded();
    fs::write(folder.join("empty.txt"), "").unwrap();
    elbo(folder, "train --data empty.txt --out none").failed(3, "empty.txt: there is no line of text in it");
    elbo(folder, "train --data lines.txt --recipe classic --out none").failed(2, "choose `--recipe text`");
    elbo(folder, "train --data glyphs --recipe text --out none").failed(3, "the likelihood tokens takes text");
    assert!(!folder.join("none").exists());
}

#[test]
fn a_run_of_text_that_goes_on_has_the_bits_of_one_that_was_whole() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    fs::write(folder.join("lines.txt"), sentences()).unwrap();
    let set_up = format!("{SMALL} --set cell=lstm --set bidirectional=true");
    elbo(folder, &format!("train --data lines.txt {set_up} --epochs 2 --out whole")).succeeded();
    elbo(folder, &format!("train --data lines.txt {set_up} --epochs 1 --out parts")).succeeded();
    elbo(folder, "train --resume parts --epochs 2 --adapter cpu").succeeded();
    let draw = |run: &str| {
        elbo(folder, &format!("embed {run} --out {run}.npy --adapter cpu")).succeeded();
        fs::read(folder.join(format!("{run}.npy"))).unwrap()
    };
    assert_eq!(draw("whole"), draw("parts"));
}

/// Melodies of a small language: broken chords up and down, in several keys and lengths.
fn melodies(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    let music = Music { grid: 4, tempo: 400_000 };
    for at in 0..48_u64 {
        let chord = [[0, 4, 7, 12], [0, 3, 7, 12]][at as usize % 2];
        let (key, length) = (55 + (at % 5) as u8, 1 + at % 3);
        let up = (0..4).chain((0..4).rev()).map(|step| chord[step]);
        let notes =
            up.enumerate().map(|(place, above)| Note { start: place as u64 * length, pitch: key + above, length });
        let last = Note { start: 8 * length, pitch: key, length: 4 };
        let notes = tidy(notes.chain([last]).collect());
        fs::write(folder.join(format!("{at:02}.mid")), midi::write(&notes, music, 0).unwrap()).unwrap();
    }
}

/// What `elbo data` says of data.
fn described(folder: &Path, source: &str) -> serde_json::Value {
    serde_json::from_str(&elbo(folder, &format!("data {source} --json")).succeeded().out).unwrap()
}

#[test]
fn a_run_of_music_is_evaluated_and_what_it_writes_is_read_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    melodies(&folder.join("songs"));
    let described = described(folder, "songs --recipe music");
    assert_eq!((&described["kind"], &described["tokens"]["kind"]), (&"music".into(), &"events".into()));
    assert_eq!(described["tokens"]["music"], serde_json::json!({ "grid": 4, "tempo": 400_000 }));
    elbo(folder, &format!("train --data songs --recipe music {SMALL} --epochs 3 --set lr=0.01 --out run")).succeeded();
    assert!(folder.join("run/samples/epoch-0003.mid").is_file());
    let found = json(folder, "eval run --samples 4");
    assert!(found["perplexity"].as_f64().unwrap() < 30.0);
    let drawn = json(folder, "sample run -n 5 --out drawn");
    assert_eq!(drawn["files"].as_array().unwrap().len(), 5);
    let told = elbo(folder, "sample run -n 3 --adapter cpu").succeeded().out;
    assert!(told.starts_with("run/samples/prior-step-6-seed-"), "{told}");
    assert_eq!(fs::read_dir(folder.join(told.trim())).unwrap().count(), 3);
    let told = elbo(folder, "sample run -n 2 --temperature 0.7 --top-k 3 --adapter cpu").succeeded().out;
    assert!(told.trim().ends_with("-temperature-0.7-top-k-3"), "{told}");
    elbo(folder, "reconstruct run -n 4 --out drawn/all.mid --adapter cpu").succeeded();
    let between = json(folder, "interpolate run --pair 0,1 --pair 1,2 --steps 3 --out drawn/between");
    assert_eq!(between["files"].as_array().unwrap().len(), 2);
    fs::copy(folder.join("drawn/between/001.mid"), folder.join("drawn/between.mid")).unwrap();
    let music = Music { grid: 4, tempo: 400_000 };
    let notes = |name: &str| midi::read(&fs::read(folder.join("drawn").join(name)).unwrap(), 4).unwrap();
    if let Some(elsewhere) = read_by("mido", "midi_notes.py", &folder.join("drawn")) {
        let elsewhere = elsewhere.as_object().unwrap();
        assert_eq!(elsewhere.len(), 7);
        for (name, found) in elsewhere {
            let song = notes(name);
            assert_eq!((&found["ticks"], &found["tempo"]), (&480.into(), &music.tempo.into()), "{name}");
            let expected: Vec<[u64; 3]> =
                song.notes.iter().map(|note| [120 * note.start, note.pitch.into(), 120 * note.length]).collect();
            assert_eq!(found["notes"], serde_json::json!(expected), "{name}");
        }
    }
    // Originals are there as they were read, each from a multiple of four beats on.
    let pairs = json(folder, "reconstruct run --example 0 --out one.mid")["pairs"][0].clone();
    let tokens = |at: usize| pairs[at].as_str().unwrap().split(' ').map(str::to_owned).collect::<Vec<_>>();
    let original = data::music::notes(tokens(0).iter().map(String::as_str), 4);
    let song = midi::read(&fs::read(folder.join("one.mid")).unwrap(), 4).unwrap();
    assert!(original.len() > 8 && song.notes.starts_with(&original));
    fs::write(folder.join("short.mid"), &fs::read(folder.join("songs/00.mid")).unwrap()[..40]).unwrap();
    fs::write(folder.join("lines.txt"), "a\nb\n").unwrap();
    for (command, code, culprit) in [
        ("train --data short.mid --out none", 3, "short.mid: the file is cut short: track 1 has"),
        ("train --recipe music --out none", 3, "glyphs: the likelihood tokens takes text"),
        ("train --data songs --out none", 3, "of its MIDI files a model learns with `--recipe music`"),
        ("train --data songs/00.mid --recipe text --out none", 2, "choose `--recipe music`"),
        ("train --data lines.txt --recipe music --out none", 2, "lines.txt: this is text"),
        ("eval run --data lines.txt --part train --adapter cpu", 2, "the model was trained on events"),
        ("sample run --out a.txt --adapter cpu", 2, "--out a.txt: the file's name is to end in .mid or .midi"),
        ("sample run -n 2 --out drawn --adapter cpu", 2, "there is another piece already; name a new folder"),
        ("sample run -n 2 --out songs/drawn --adapter cpu", 2, "that would be a new example of the data in"),
        ("reconstruct run -n 1 --out songs/00.mid --adapter cpu", 2, "that would write over an example of the data in"),
        ("data songs --recipe music --out a.png", 2, "text and music are not drawn"),
    ] {
        elbo(folder, command).failed(code, culprit);
    }
}

#[test]
fn text_of_a_table_and_documents_in_windows_are_trained_on() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    let rows: Vec<String> =
        sentences().lines().enumerate().map(|(at, line)| format!("{at},\"{line}, yes\"\n")).collect();
    fs::write(folder.join("rows.csv"), format!("id,said\n{}", rows.concat())).unwrap();
    let described = described(folder, "rows.csv --set data.text=said");
    assert_eq!((&described["kind"], &described["tokens"]["kind"]), (&"text".into(), &"characters".into()));
    elbo(folder, &format!("train --data rows.csv --set data.text=said {SMALL} --epochs 1 --out run")).succeeded();
    assert_eq!(json(folder, "eval run")["examples"].as_u64(), described["test"].as_u64());
    fs::create_dir(folder.join("texts")).unwrap();
    for name in ["a", "b", "c"] {
        fs::write(folder.join(format!("texts/{name}.txt")), sentences()).unwrap();
    }
    let documents = "--data texts --recipe text --set data.longer=windows --set data.length=40";
    elbo(folder, &format!("train {documents} {SMALL} --epochs 1 --out windows")).succeeded();
    elbo(folder, "sample windows -n 3 --out drawn.txt --adapter cpu").succeeded();
    assert_eq!(fs::read_to_string(folder.join("drawn.txt")).unwrap().lines().count(), 3);
    for (command, code, culprit) in [
        (
            "train --data rows.csv --set data.text=sad --out none",
            2,
            "data.text = sad: rows.csv has no column of this name",
        ),
        ("train --data rows.csv --set data.text=id --out none", 3, "the column `id` holds numbers alone"),
        ("train --data rows.csv --recipe text --out none", 2, "which of its 2 columns holds the text?"),
        (
            "train --data rows.csv --recipe table --set data.text=said --out none",
            2,
            "data.text is set, which is for models of text",
        ),
        ("train --data texts --out none", 3, "of its texts a model learns with `--recipe text`"),
    ] {
        elbo(folder, command).failed(code, culprit);
    }
}

/// Attention in place of recurrent layers is trained, goes on, stands beside another model and is asked like these.
#[test]
fn a_run_of_text_with_attention_is_asked_goes_on_and_stands_beside_others() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path();
    fs::write(folder.join("lines.txt"), sentences()).unwrap();
    let set_up = format!("{SMALL} --set cell=transformer --set heads=2 --set lr=0.01");
    elbo(folder, &format!("train --data lines.txt {set_up} --epochs 2 --seed 2 --out whole")).succeeded();
    elbo(folder, &format!("train --data lines.txt {set_up} --epochs 1 --seed 2 --out parts")).succeeded();
    elbo(folder, "train --resume parts --epochs 2 --adapter cpu").succeeded();
    elbo(folder, &format!("train --data lines.txt {set_up} --epochs 2 --seeds 2,3 --out both")).succeeded();
    let embedded = |run: &str| {
        elbo(folder, &format!("embed {run} --out z.npy --adapter cpu")).succeeded();
        fs::read(folder.join("z.npy")).unwrap()
    };
    let whole = embedded("whole");
    assert!(whole == embedded("parts") && whole == embedded("both/member-00") && whole != embedded("both/member-01"));
    let found = json(folder, "eval whole --samples 4");
    assert!(found["perplexity"].as_f64().unwrap() < 20.0 && found["neg_log_px"].as_f64() < found["neg_elbo"].as_f64());
    elbo(folder, "sample whole -n 5 --out drawn.txt --adapter cpu").succeeded();
    assert_eq!(fs::read_to_string(folder.join("drawn.txt")).unwrap().lines().count(), 5);
    for beam in ["", " --beam 3"] {
        assert_eq!(json(folder, &format!("reconstruct whole -n 2{beam}"))["pairs"].as_array().unwrap().len(), 2);
    }
    assert_eq!(json(folder, "interpolate whole --pair 0,5 --steps 2")["lines"][0].as_array().unwrap().len(), 4);
    elbo(folder, "score whole --samples 2 --out scores.csv --features --adapter cpu").succeeded();
    elbo(folder, "export whole --format onnx --out onnx").succeeded();
    let files = ["encoder.onnx", "decoder.onnx", "vocabulary.json", "config.json", "README.md", "step.onnx"];
    assert_eq!(files.map(|name| folder.join("onnx").join(name).is_file()), [true, true, true, true, true, false]);
}
