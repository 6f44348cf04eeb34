//! Seeds through the pure simulator. `TITUS_SIM_SEED=N` runs that seed alone.

mod sim {
    use std::ops::Range;

    use titus_core::sim::{Faults, SimConfig, SimCounts, SimReport, run};
    use titus_core::time::Millis;

    #[expect(
        clippy::disallowed_methods,
        reason = "a test may be told which seed to replay"
    )]
    fn seeds(fixed: Range<u64>) -> Vec<u64> {
        match std::env::var("TITUS_SIM_SEED") {
            Ok(seed) => vec![seed.parse().expect("TITUS_SIM_SEED is a number")],
            Err(_) => fixed.collect(),
        }
    }

    fn passes(config: &SimConfig) -> SimReport {
        let again = format!(
            "TITUS_SIM_SEED={} cargo test -p titus-core --features sim --test sim",
            config.seed
        );
        run(config).unwrap_or_else(|failure| panic!("{failure}\nor: {again}"))
    }

    #[test]
    fn every_seed_settles_and_replays_event_for_event() {
        let mut sum = SimCounts::default();
        let all = seeds(0..15);
        for seed in &all {
            let config = SimConfig::seeded(*seed);
            let report = passes(&config);
            assert_eq!(report, passes(&config), "seed {seed} gives two different runs");
            add(&mut sum, &report.counts);
        }
        if all.len() > 1 {
            everything_went_wrong(&sum);
        }
    }

    const fn add(sum: &mut SimCounts, c: &SimCounts) {
        sum.replacements += c.replacements;
        sum.lost += c.lost;
        sum.archived += c.archived;
        sum.refused += c.refused;
        sum.messages_lost += c.messages_lost;
        sum.commands_failed += c.commands_failed;
        sum.agent_crashes += c.agent_crashes;
        sum.host_crashes += c.host_crashes;
        sum.adopted += c.adopted;
        sum.directives_refused += c.directives_refused;
        sum.texts_lacking += c.texts_lacking;
        sum.checks += c.checks;
    }

    /// A simulation in which nothing goes wrong proves nothing.
    fn everything_went_wrong(sum: &SimCounts) {
        let met = [
            ("replacements", sum.replacements),
            ("tasks lost", sum.lost),
            ("tasks archived", sum.archived),
            ("placements refused", sum.refused),
            ("messages lost", sum.messages_lost),
            ("commands failed", sum.commands_failed),
            ("agent crashes", sum.agent_crashes),
            ("host crashes", sum.host_crashes),
            ("tasks adopted", sum.adopted),
            ("directives refused", sum.directives_refused),
            ("launch texts lacking", sum.texts_lacking),
            ("whole-state checks", sum.checks),
        ];
        let never: Vec<&str> = met
            .iter()
            .filter(|(_, n)| *n == 0)
            .map(|(what, _)| *what)
            .collect();
        assert_eq!(never, [""; 0], "{sum:?}");
    }

    #[test]
    fn a_larger_cell_settles() {
        for seed in seeds(100..102) {
            passes(&SimConfig {
                hosts: 200,
                jobs: 60,
                check_each: 50,
                ..SimConfig::seeded(seed)
            });
        }
    }

    #[test]
    fn without_faults_nothing_is_lost_and_nothing_fails() {
        for seed in seeds(200..205) {
            let report = passes(&SimConfig {
                faults: Faults::NONE,
                ..SimConfig::seeded(seed)
            });
            let SimCounts {
                lost,
                refused,
                adopted,
                commands_failed,
                messages_lost,
                starts,
                ..
            } = report.counts;
            assert_eq!(
                [lost, refused, adopted, commands_failed, messages_lost],
                [0; 5],
                "seed {seed}"
            );
            assert!(starts > 0);
        }
    }

    #[test]
    fn another_seed_is_another_run() {
        let hash = |seed| {
            passes(&SimConfig {
                jobs: 3,
                ..SimConfig::seeded(seed)
            })
            .hash
        };
        assert_ne!(hash(1), hash(2));
    }

    #[test]
    fn a_failure_names_the_command_that_shows_it_again() {
        let config = SimConfig {
            busy: Millis::from_secs(60),
            quiet: Millis::ZERO,
            ..SimConfig::seeded(3)
        };
        let failure = run(&config).expect_err("no cell settles in no time");
        assert_eq!(*failure.config, config);
        let told = failure.to_string();
        assert!(
            told.contains("titus-sim replay 3 --hosts 6 --jobs 12 --busy-sec 60 --quiet-sec 0"),
            "{told}"
        );
    }
}
