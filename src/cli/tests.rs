use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> std::result::Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

/// Every command with a path of its own, such as `bench step`.
fn commands(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
    let path = format!("{path}{} ", command.get_name());
    found.push((path.trim_end().to_owned(), command.clone().display_name(path.trim_end())));
    command.get_subcommands().for_each(|inner| commands(inner, &path, found));
}

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn short_help_fits_a_screen_and_long_help_has_an_example() {
    let mut found = Vec::new();
    commands(&Cli::command(), "", &mut found);
    assert_eq!(found.len(), 36);
    for (path, command) in found {
        let short = command.clone().term_width(80).render_help().to_string();
        assert!(short.lines().count() <= 24, "{path} -h has {} lines:\n{short}", short.lines().count());
        let widest = short.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= 80, "{path} -h is {widest} wide:\n{short}");
        let long = command.clone().term_width(80).render_long_help().to_string();
        assert!(path == "elbo" || long.contains("Example"), "{path} --help shows no example:\n{long}");
    }
}

#[test]
fn the_overview_names_every_command() {
    let short = Cli::command().term_width(80).render_help().to_string();
    let listed: Vec<&str> = short.lines().filter(|line| line.starts_with("  ")).collect();
    for command in Cli::command().get_subcommands().map(clap::Command::get_name) {
        let named = |line: &&&str| line.split([',', ' ']).any(|word| word == command);
        assert!(listed.iter().any(|line| named(&line)), "{command} is not in {short}");
    }
    assert!(short.contains("--version"), "{short}");
}

#[test]
fn every_example_of_the_help_can_be_typed() {
    let mut found = Vec::new();
    commands(&Cli::command(), "", &mut found);
    let examples: Vec<String> = found
        .iter()
        .filter_map(|(_, command)| command.get_after_long_help())
        .flat_map(|help| help.to_string().lines().map(str::trim).map(String::from).collect::<Vec<_>>())
        .filter(|line| line.starts_with("elbo "))
        // What a shell keeps for itself: where the output goes, and quotation marks.
        .map(|line| line.split(" > ").next().unwrap_or_default().replace('\'', ""))
        .collect();
    assert!(examples.len() >= 10, "{examples:?}");
    for line in examples {
        let cli = parse(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        if let Command::Train(args) = cli.command {
            args.check_resume().unwrap_or_else(|e| panic!("{line}: {e}"));
            crate::config::sweep(args.recipe.recipe.as_deref(), &args.overrides(), args.seeds.as_deref())
                .unwrap_or_else(|e| panic!("{line}: {e}"));
        }
    }
}

#[test]
fn what_does_not_parse_exits_with_2_and_names_the_flag() {
    for (line, word) in [
        ("elbo train --epochs ten", "--epochs"),
        ("elbo train --epochs -1", "--epochs"),
        ("elbo train --lr fast", "--lr"),
        ("elbo train --set latent", "KEY=VALUE"),
        ("elbo train --set =2", "KEY=VALUE"),
        ("elbo train --colour", "--colour"),
        ("elbo eval", "<RUN>"),
        ("elbo eval r --part all", "--part"),
        ("elbo recommend r", "--out"),
        ("elbo recommend r --evaluate --at ten", "--at"),
        ("elbo score r --threshold high", "--threshold"),
        ("elbo score r --threshold nan", "--threshold"),
        ("elbo score r --quantile 0.9 --false-alarm-rate 0.1", "--false-alarm-rate"),
        ("elbo score r --samples 5 --mean-field", "--mean-field"),
        ("elbo score r --features", "--out"),
        ("elbo score r --normal a", "--labels"),
        ("elbo edit r", "--attribute"),
        ("elbo edit r --attribute a --strength -1,far", "--strength"),
        ("elbo transfer r --content 0", "--style"),
        ("elbo bench", "step"),
        ("elbo bench matmul 3 4", "<K>"),
        ("elbo trian", "train"),
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
        assert!(error.to_string().contains(word), "{line}: {error}");
    }
}
