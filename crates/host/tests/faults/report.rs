//! The counts of a scenario.

use std::fmt;

/// The counts of a scenario that passed. A violated invariant fails the scenario instead.
#[derive(Debug, Default, Clone)]
pub(crate) struct Report {
    /// Versions that were made, each with an event.
    pub(crate) events: usize,
    /// Runs on record.
    pub(crate) runs: usize,
    /// Rotations on record: one for each app of each run.
    pub(crate) rotations: usize,
    /// Kills of a handler.
    pub(crate) kills: usize,
    /// Writes of settings.
    pub(crate) writes: usize,
    /// Refreshes of references.
    pub(crate) refreshes: usize,
    /// The largest number of refreshes for one rotation.
    pub(crate) most_refreshes: usize,
    /// References that were checked, each correct.
    pub(crate) references: usize,
    /// Settings that were checked, each as it was, or as another writer left it.
    pub(crate) settings: usize,
    /// Observed changes of versions, each to a newer one.
    pub(crate) steps: usize,
    /// Log lines and records that were searched for values.
    pub(crate) searched: usize,
    /// Settings that another writer has changed meanwhile.
    pub(crate) foreign: usize,
    /// Those of them that are lost, each with a record that says so.
    pub(crate) lost: usize,
    /// Further results, a line each.
    pub(crate) notes: Vec<String>,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events += other.events;
        self.runs += other.runs;
        self.rotations += other.rotations;
        self.kills += other.kills;
        self.writes += other.writes;
        self.refreshes += other.refreshes;
        self.most_refreshes = self.most_refreshes.max(other.most_refreshes);
        self.references += other.references;
        self.settings += other.settings;
        self.steps += other.steps;
        self.searched += other.searched;
        self.foreign += other.foreign;
        self.lost += other.lost;
    }

    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            events,
            runs,
            rotations,
            kills,
            writes,
            refreshes,
            most_refreshes,
            references,
            settings,
            steps,
            searched,
            foreign,
            lost,
            notes,
        } = self;
        writeln!(
            f,
            "  {events} events, 0 lost; {runs} runs with {rotations} rotations on record; {kills} kills"
        )?;
        writeln!(
            f,
            "  {references} references right; {settings} settings of others untouched; {writes} writes"
        )?;
        writeln!(
            f,
            "  {refreshes} refreshes, at most {most_refreshes} for one rotation"
        )?;
        writeln!(
            f,
            "  {foreign} writes of others meanwhile, {lost} lost and on record as lost, 0 lost without a record"
        )?;
        write!(
            f,
            "  {steps} changes of versions, 0 backwards; {searched} log lines and records without a value"
        )?;
        for note in notes {
            write!(f, "\n  {note}")?;
        }
        Ok(())
    }
}
