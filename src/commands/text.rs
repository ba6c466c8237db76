//! What commands that make examples do with a model of sequences: they write lines of text, or MIDI files.

use super::music::{self, Piece};
use super::open::Trained;
use super::{files, open};
use crate::cli::{InterpolateArgs, Path as Way, ReconstructArgs, RunArgs, SampleArgs};
use crate::config::{Likelihood, Prior};
use crate::durable;
use crate::error::{Error, Result};
use crate::latent::{between, linear, spherical};
use crate::model::tasks::{ENCODE, NEXT, Need};
use crate::report::Report;
use crate::session::{BATCH, Choice, Purpose, Session};
use serde_json::json;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Lines that are drawn where nothing else is asked for.
const COUNT: usize = 64;

/// Lines that are shown of those that go into a file.
const SHOWN: usize = 10;

/// Whether a run is that of a model of sequences.
pub fn is_one(run: &RunArgs) -> bool {
    open::glanced(run).is_some_and(|model| model.likelihood == Likelihood::Tokens)
}

/// Refuses a file that what a model makes does not go into: lines of text, or music.
fn check_out(out: Option<&Path>, session: &Session) -> Result<()> {
    match out {
        Some(out) if is_music(session) => music::is_file(out).map(drop),
        Some(out) => files::format("--out ", out, &["txt"]).map(drop),
        None => Ok(()),
    }
}

/// Whether a model is one of music.
pub fn is_music(session: &Session) -> bool {
    session.record.text.as_ref().is_some_and(|text| text.music.is_some())
}

/// Writes lines of text into a file, or pieces of music into files or one, and gives the paths. `name` is that of a file in the run
/// without its ending, for where nothing else is asked for.
fn write(
    trained: &Trained,
    asked: Option<&Path>,
    name: &str,
    lines: &[String],
    pieces: impl FnOnce() -> Vec<Piece>,
) -> Result<Vec<PathBuf>> {
    match &trained.session.record.text {
        Some(text) if text.music.is_some() => {
            // A name of our own may have a point in it.
            let in_one = asked.map_or(Ok(false), music::is_file)?;
            let out = open::picture(trained, asked, name)?;
            let pieces = pieces();
            // Files in a folder may be those of the data.
            music::paths(&out, &pieces, in_one).iter().try_for_each(|path| trained.spare(path))?;
            music::save(&out, &pieces, text, in_one)
        }
        _ => {
            let path = open::picture(trained, asked, &format!("{name}.txt"))?;
            save(&path, lines)?;
            Ok(vec![path])
        }
    }
}

/// Says where files lie: each one, or where they are several, their folder.
fn tell(report: &Report, paths: &[PathBuf]) {
    match paths {
        [path] => report.result(&path.display().to_string()),
        [first, ..] => report.result(&first.parent().unwrap_or(first).display().to_string()),
        [] => {}
    }
}

/// How tokens are chosen, as the command line says.
fn choice(args: &SampleArgs) -> Result<Choice> {
    let choice = Choice {
        temperature: super::sample::one_temperature(args)?.unwrap_or(1.0),
        top_k: args.top_k.unwrap_or(0),
        top_p: args.top_p.unwrap_or(1.0),
    };
    choice.check().map(|()| choice)
}

/// Draws latents from the prior and spells what they stand for.
///
/// # Errors
/// [`Error::Usage`] for what makes no sense of text; those of [`open::without_data`], [`Session::spell`] and of writing.
pub fn sample(args: &SampleArgs, report: &Report) -> Result<()> {
    let choice = choice(args)?;
    for (flag, given) in [
        ("--class", args.class.is_some()),
        ("--ex-post", args.ex_post.is_some()),
        ("--draw", args.draw),
        ("--total", args.total.is_some()),
        ("--compare", args.compare),
        ("--data", args.data.is_some()),
    ] {
        if given {
            return Err(Error::Usage(format!(
                "{flag}: this is a model of sequences, of which every token is drawn as it is"
            )));
        }
    }
    let mut trained = open::without_data(&args.run, report)?;
    check_out(args.out.as_deref(), &trained.session)?;
    let count = open::check_count(args.count.unwrap_or(COUNT), false)?;
    let session = &mut trained.session;
    let seed = args.seed.unwrap_or(session.config.train.seed);
    let numbers: Vec<u32> = (0..count as u32).collect();
    let (begun, mut lines, mut all) = (Instant::now(), Vec::with_capacity(count), Vec::with_capacity(count));
    report.begin("sample", count);
    for numbers in numbers.chunks(BATCH) {
        let latents = session.latents(numbers, seed)?;
        let sequences = session.spell(&latents, numbers, choice, seed)?;
        lines.extend(session.texts(&sequences)?);
        all.extend(sequences);
        report.step(lines.len(), None, lines.len() as f64 / begun.elapsed().as_secs_f64());
    }
    report.clear();
    let given = |flag: &str, value: Option<String>| value.map_or(String::new(), |value| format!("-{flag}-{value}"));
    let at = given("temperature", args.temperature.first().map(f32::to_string))
        + &given("top-k", args.top_k.map(|it| it.to_string()))
        + &given("top-p", args.top_p.map(|it| it.to_string()));
    let name = format!("prior-step-{}-seed-{seed}{at}", trained.step);
    let pieces = || all.into_iter().enumerate().map(|(at, sequence)| Piece::new(at, vec![sequence])).collect();
    let paths = write(&trained, args.out.as_deref(), &name, &lines, pieces)?;
    for line in lines.iter().take(SHOWN) {
        report.note(&format!("         {line}"));
    }
    tell(report, &paths);
    report.json(&json!({
        "count": count, "seed": seed, "temperature": choice.temperature, "top_k": choice.top_k, "top_p": choice.top_p,
        "files": paths,
    }));
    Ok(())
}

/// Writes lines of text.
///
/// # Errors
/// [`Error::Disk`] where the file cannot be written.
pub fn save(path: &Path, lines: &[String]) -> Result<()> {
    let mut text = lines.join("\n");
    text.push('\n');
    durable::replace_file(path, text.as_bytes())
}

/// Examples and what becomes of them, found by a beam of so many beginnings; of 1 the likeliest token in every place: pairs of
/// sequences.
///
/// # Errors
/// Those of [`Session::encode`] and [`Session::search`].
pub fn pairs(session: &mut Session, examples: &[u32], beam: usize, seed: u64) -> Result<Vec<[Vec<u32>; 2]>> {
    let posterior = session.encode(examples, seed)?;
    let found = session.search(&posterior.means, beam)?;
    let originals: Vec<Vec<u32>> =
        examples.iter().map(|&example| session.data()?.tokens(example as usize)).collect::<Result<_>>()?;
    Ok(originals.into_iter().zip(found).map(|(original, found)| [original, found]).collect())
}

/// The texts of such pairs.
///
/// # Errors
/// Those of [`Session::texts`].
pub fn of_pairs(session: &Session, pairs: &[[Vec<u32>; 2]]) -> Result<Vec<[String; 2]>> {
    let text = |[original, found]: &[Vec<u32>; 2]| {
        let mut texts = session.texts(&[original.clone(), found.clone()])?;
        let found = texts.pop().unwrap_or_default();
        Ok([texts.pop().unwrap_or_default(), found])
    };
    pairs.iter().map(text).collect()
}

/// Which examples of a part of this name are shown: those that are named, or so many.
type Shown = fn(&[usize], usize, &Range<usize>, &str) -> Result<Vec<u32>>;

/// Encodes lines and spells what the means of their posteriors stand for.
///
/// # Errors
/// Those of [`open::with_data`], [`open::part`] and of writing; [`Error::Usage`] for what makes no sense of text.
pub fn reconstruct(args: &ReconstructArgs, shown: Shown, report: &Report) -> Result<()> {
    if args.as_class.is_some() {
        return Err(Error::Usage("--as-class: a model of sequences is told no classes".into()));
    }
    let named = (!args.example.is_empty()).then_some(args.example.len());
    let wanted = open::check_count(named.or(args.count).unwrap_or(32), false)?;
    let mut trained = open::with_data(&args.run, args.examples.data.as_deref(), Purpose::task(ENCODE, BATCH), report)?;
    check_out(args.out.as_deref(), &trained.session)?;
    let session = &mut trained.session;
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let examples = shown(&args.example, wanted.min(part.len()), &part, name)?;
    let seed = session.config.train.seed;
    let sequences = pairs(session, &examples, args.beam.unwrap_or(1), seed)?;
    let pairs = of_pairs(session, &sequences)?;
    let lines: Vec<String> =
        pairs.iter().flat_map(|[original, found]| [original.clone(), found.clone(), String::new()]).collect();
    let pieces = || sequences.into_iter().enumerate().map(|(at, pair)| Piece::new(at, pair.to_vec())).collect();
    let name_of_file = format!("{name}-step-{}", trained.step);
    let paths = write(&trained, args.out.as_deref(), &name_of_file, &lines, pieces)?;
    let same = pairs.iter().filter(|[original, found]| original == found).count();
    for [original, found] in pairs.iter().take(SHOWN) {
        report.note(&format!("         {original}"));
        report.note(&format!("      -> {found}"));
    }
    report.note(&format!("whole    {same} of {} lines came back as they were", pairs.len()));
    report.json(
        &json!({ "part": name, "examples": examples, "beam": args.beam, "same": same, "pairs": pairs, "files": paths }),
    );
    tell(report, &paths);
    Ok(())
}

/// Prints what lies between pairs of lines, the likeliest token in every place.
///
/// # Errors
/// Those of [`open::with_data`], [`open::part`] and of writing; [`Error::Usage`] for what makes no sense of text.
pub fn interpolate(
    args: &InterpolateArgs,
    examples: fn(&InterpolateArgs, &Range<usize>, &str) -> Result<Vec<u32>>,
    report: &Report,
) -> Result<()> {
    if args.class.is_some() || args.layer.is_some() {
        return Err(Error::Usage(
            "--class and --layer: a model of sequences is told no classes, and has one stochastic layer".into(),
        ));
    }
    let steps = open::check_steps(args.steps.unwrap_or(7), args.pair.len().max(1))?;
    let mut trained = open::with_data(&args.run, args.examples.data.as_deref(), Purpose::task(ENCODE, BATCH), report)?;
    check_out(args.out.as_deref(), &trained.session)?;
    if let Some(path) = &args.out {
        trained.spare(path)?;
    }
    let session = &mut trained.session;
    let (part, name) = open::part(session.data()?, args.examples.part)?;
    let examples = examples(args, &part, name)?;
    let seed = session.config.train.seed;
    let posterior = session.encode(&examples, seed)?;
    let way = match args.path {
        Some(Way::Spherical) => {
            session.model.need(&[Need::StandardPrior], "--path spherical")?;
            spherical
        }
        None if session.model.config.prior == Prior::Standard => spherical,
        None | Some(Way::Linear) => linear,
    };
    session.plan(Purpose::task(NEXT, BATCH))?;
    let (mut all, mut pieces) = (Vec::new(), Vec::new());
    for pair in 0..examples.len() / 2 {
        let [from, to] = [2 * pair, 2 * pair + 1].map(|at| posterior.mean(at));
        let latents: Vec<f32> = between(0.0, 1.0, steps).into_iter().flat_map(|t| way(from, to, t)).collect();
        let numbers: Vec<u32> = (0..steps as u32).collect();
        let sequences = session.spell(&latents, &numbers, Choice::GREEDY, seed)?;
        let mut ends = Vec::new();
        for &example in &examples[2 * pair..][..2] {
            ends.push(session.data()?.tokens(example as usize)?);
        }
        pieces.push(Piece::new(pair, [&ends[..1], &sequences, &ends[1..]].concat()));
        let [ends, between] = [ends, sequences].map(|all| session.texts(&all));
        let (ends, between) = (ends?, between?);
        report.result(&format!("= {}", ends[0]));
        for line in &between {
            report.result(&format!("  {line}"));
        }
        report.result(&format!("= {}", ends[1]));
        report.result("");
        all.push([vec![ends[0].clone()], between, vec![ends[1].clone()]].concat());
    }
    // Lines are printed anyway, and music is heard from files alone.
    let paths = if args.out.is_some() || is_music(&trained.session) {
        let file = format!("interpolation-step-{}", trained.step);
        write(&trained, args.out.as_deref(), &file, &all.concat(), || pieces)?
    } else {
        vec![]
    };
    tell(report, &paths);
    report.json(&json!({ "part": name, "examples": examples, "steps": steps, "lines": all, "files": paths }));
    Ok(())
}
