//! The figures of a run, from what libFuzzer prints.

/// The figures of one target.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    target: String,
    executions: u64,
    per_second: u64,
    /// The edges that were covered.
    coverage: u64,
    /// The features: edges with the number of times that they were taken.
    features: u64,
    /// The inputs that each cover something of their own.
    corpus: u64,
}

impl Figures {
    /// Reads the output of a target. A figure that is not in it is 0.
    pub(super) fn of(target: &str, log: &str) -> Self {
        let mut figures = Self {
            target: target.to_owned(),
            ..Self::default()
        };
        for line in log.lines() {
            let number = |mark: &str| number_after(line, mark);
            // `#4096 pulse  cov: 12 ft: 15 corp: 6/77b lim: 43 exec/s: 2048 rss: 32Mb`
            if let (Some(coverage), Some(features)) = (number(" cov: "), number(" ft: ")) {
                figures.coverage = coverage;
                figures.features = features;
                figures.corpus = number(" corp: ").unwrap_or(figures.corpus);
                // A target that fails has no final figures.
                let so_far = line.trim_start_matches('#');
                figures.executions = leading(so_far).unwrap_or(figures.executions);
                figures.per_second = number(" exec/s: ").unwrap_or(figures.per_second);
            }
            if let Some(executions) = number("stat::number_of_executed_units:") {
                figures.executions = executions;
            }
            if let Some(per_second) = number("stat::average_exec_per_sec:") {
                figures.per_second = per_second;
            }
        }
        figures
    }
}

fn number_after(line: &str, mark: &str) -> Option<u64> {
    leading(line.split_once(mark)?.1.trim_start())
}

fn leading(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    text.get(..digits)?.parse().ok()
}

/// The table of all targets, with the sum of the executions.
pub(super) fn table(rows: &[Figures]) -> Vec<String> {
    let mut lines = vec![
        "| target | executions | per second | edges | features | corpus |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(rows.iter().map(|row| {
        format!(
            "| `{}` | {} | {} | {} | {} | {} |",
            row.target,
            grouped(row.executions),
            grouped(row.per_second),
            grouped(row.coverage),
            grouped(row.features),
            grouped(row.corpus)
        )
    }));
    let sum = rows.iter().map(|row| row.executions).sum();
    lines.push(format!("| all | {} | | | | |", grouped(sum)));
    lines
}

/// A number with commas between groups of three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
INFO: seed corpus: files: 3 min: 1b max: 9b total: 12b rss: 30Mb
#4\tINITED cov: 10 ft: 11 corp: 3/12b exec/s: 0 rss: 31Mb
#4096\tpulse  cov: 12 ft: 15 corp: 6/77b lim: 43 exec/s: 2048 rss: 32Mb
";

    fn figures(executions: u64, per_second: u64) -> Figures {
        Figures {
            target: "plan".to_owned(),
            executions,
            per_second,
            coverage: 12,
            features: 15,
            corpus: 6,
        }
    }

    #[test]
    fn the_figures_are_those_at_the_end() {
        assert_eq!(Figures::of("plan", LOG), figures(4_096, 2_048));
        let ended = format!(
            "{LOG}stat::number_of_executed_units: 9000\nstat::average_exec_per_sec:     4500\n"
        );
        assert_eq!(Figures::of("plan", &ended), figures(9_000, 4_500));
    }

    #[test]
    fn the_table_has_a_sum() {
        let rows = [figures(1_234_567, 1), figures(1, 1)];
        let table = table(&rows);
        assert_eq!(table[2], "| `plan` | 1,234,567 | 1 | 12 | 15 | 6 |");
        assert_eq!(table[4], "| all | 1,234,568 | | | | |");
    }
}
