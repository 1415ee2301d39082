// Sends one line to the Application Insights whose connection string is in the setting SINK.
module.exports = async function (context) {
  const sink = Object.fromEntries((process.env.SINK ?? "").split(";").map((part) => part.split(/=(.*)/s, 2)));
  if (!sink.IngestionEndpoint) {
    context.log.error("SINK is not resolved: see the status of the reference");
    return;
  }
  const line = {
    name: "AppTraces",
    time: new Date().toISOString(),
    iKey: sink.InstrumentationKey,
    data: { baseType: "MessageData", baseData: { ver: 2, message: "tick" } },
  };
  const answer = await fetch(new URL("v2/track", sink.IngestionEndpoint), { method: "POST", body: JSON.stringify([line]) });
  context.log(`tick to ${sink.InstrumentationKey.slice(0, 8)}: ${answer.status}`);
};
