// The report for programs. Names end in their unit; what does not apply is null or absent.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tools/kdpc/report.h"
#include "tools/kdpc/stop_text.h"

namespace kdpc::tool {
namespace {

using Json = nlohmann::ordered_json;

double microseconds(std::uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e3; }

void name_into(Json& json, const RoutineName& name) {
  json["driver"] = name.driver;
  json["routine"] = name.routine;
  if (!name.file.empty()) json["place"] = fmt::format("{}:{}", name.file, name.line);
}

Json json_of(const std::vector<Delay>& delays) {
  Json list = Json::array();
  for (const Delay& delay : delays) {
    Json one{{"kind", delay.kind}};
    name_into(one, delay.name);
    one["us"] = microseconds(delay.nanoseconds);
    one["before_allowed"] = delay.before_allowed;
    list.push_back(std::move(one));
  }
  return list;
}

Json json_of(const LateChain& chain) {
  Json json;
  name_into(json, chain.victim);
  json["processor"] = chain.processor;
  json["queued_by"] = chain.queued_by;
  json["queued_at_us"] = microseconds(chain.queued_ns);
  json["queued_to_allowed_us"] = microseconds(chain.allowed_ns - chain.queued_ns);
  json["allowed_to_started_us"] = microseconds(chain.began_ns - chain.allowed_ns);
  json["run_us"] = microseconds(chain.ended_ns - chain.began_ns);
  json["waited_us"] = microseconds(chain.began_ns - chain.queued_ns);
  json["waited_for"] = json_of(chain.delays);
  if (chain.interrupt_wait_ns != 0) {
    json["interrupt_waited_us"] = microseconds(chain.interrupt_wait_ns);
    json["interrupt_waited_for"] = json_of(chain.interrupt_delays);
  }
  if (chain.application_wait_ns != 0) {
    json["application_waited_us"] = microseconds(chain.application_wait_ns);
    json["application_waited_for"] = json_of(chain.application_delays);
  }
  return json;
}

Json json_of(const RoutineFigures& figures) {
  Json json{{"kind", figures.kind}};
  name_into(json, figures.name);
  json["processor"] = figures.processor;
  json["count"] = figures.count;
  if (figures.kind == "ISR") json["claimed"] = figures.claimed;
  json["max_us"] = microseconds(figures.longest_ns);
  json["total_us"] = microseconds(figures.total_ns);
  json["max_with_interrupts_us"] = microseconds(figures.longest_with_interrupts_ns);
  json["max_wait_us"] = microseconds(figures.longest_wait_ns);
  if (figures.longer_than_advised) json["longer_than_advised"] = true;
  return json;
}

Json json_of(const Culprit& culprit, const LateChain* chain) {
  Json json{{"kind", culprit.kind}};
  name_into(json, culprit.name);
  json["processor"] = culprit.processor;
  json["delayed_us"] = microseconds(culprit.delayed_ns);
  json["longest_run_us"] = microseconds(culprit.ran_ns);
  json["dropouts"] = culprit.dropouts;
  json["victim"] = chain == nullptr ? Json() : json_of(*chain);
  return json;
}

Json dropouts_of(const Sound& sound) {
  Json where = Json::array();
  for (const DropoutReport& each : sound.dropouts) {
    Json one{{"source_ms", each.source_ms},
             {"played_ms", each.played_ms},
             {"ms", each.length_ms},
             {"source_frame", each.dropout.source_frame},
             {"played_frame", each.dropout.played_frame},
             {"silent_frames", each.dropout.silent},
             {"foreign_frames", each.dropout.foreign},
             {"lost_frames", each.dropout.lost}};
    one["late"] = each.chain ? json_of(*each.chain) : Json();
    where.push_back(std::move(one));
  }
  return {{"count", sound.dropouts.size()}, {"total_ms", sound.total_ms}, {"where", std::move(where)}};
}

Json json_of(const LineReport& line) {
  Json losses = Json::array();
  for (const LineLoss& loss : line.losses) {
    losses.push_back({{"first_byte", loss.first_byte},
                      {"bytes", loss.bytes},
                      {"from_us", microseconds(loss.began_ns)},
                      {"to_us", microseconds(loss.ended_ns)},
                      {"isr_waited_us", microseconds(loss.isr_waited_ns)}});
    losses.back()["culprit"] = loss.culprit ? Json(loss.culprit->place()) : Json();
  }
  return {{"baud", line.baud},
          {"receive", line.source},
          {"bytes", line.source_bytes},
          {"received_bytes", line.received_bytes},
          {"lost_bytes", line.lost()},
          {"lost_in_chip", line.lost_in_chip},
          {"lost_later", line.lost_later},
          {"garbled", line.is_garbled},
          {"overruns", std::move(losses)},
          {"counted_chip_overruns", line.has_counts ? Json(line.counted_chip_overruns) : Json()},
          {"counted_ring_overruns", line.has_counts ? Json(line.counted_ring_overruns) : Json()},
          {"send", line.send_source},
          {"send_bytes", line.send_bytes},
          {"heard_bytes", line.heard_bytes},
          {"heard_whole", line.is_heard_whole}};
}

Json json_of(const lab::Bugcheck& stop, const std::string& text) {
  const StopMeaning meaning = meaning_of(stop);
  Json parameters = Json::array(), stack = Json::array();
  for (std::size_t i = 0; i < 4; ++i) {
    parameters.push_back({{"value", fmt::format("{:#x}", stop.parameters[i])}, {"meaning", meaning.parameters[i]}});
    if (!stop.parameter_places[i].image.empty()) parameters.back()["place"] = stop.parameter_places[i].text();
  }
  for (const lab::Place& place : stop.stack) stack.push_back(place.text());
  return {{"code", fmt::format("{:#x}", stop.code)},
          {"name", stop.name},
          {"parameters", std::move(parameters)},
          {"sentence", stop.sentence},
          {"rule", stop.rule},
          {"processor", stop.processor},
          {"irql", stop.irql},
          {"thread", stop.thread},
          {"driver", stop.place.image},
          {"routine", stop.place.function},
          {"file", stop.place.file},
          {"line", stop.place.line},
          {"stack", std::move(stack)},
          {"text", text}};
}

Json json_of(const lab::Finding& finding) {
  Json parties = Json::array();
  for (const lab::Party& party : finding.parties) {
    Json stack = Json::array();
    for (const lab::Place& place : party.stack) stack.push_back(place.text());
    parties.push_back({{"role", party.role},
                       {"what", party.text},
                       {"time_us", microseconds(party.time)},
                       {"processor", party.processor},
                       {"irql", party.irql},
                       {"thread", party.thread},
                       {"place", party.place.text()},
                       {"stack", std::move(stack)}});
  }
  return {{"id", finding.id},
          {"advice", finding.advice},
          {"sentence", finding.sentence},
          {"fix", finding.fix},
          {"code", finding.code == 0 ? Json() : Json(fmt::format("{:#x}", finding.code))},
          {"subcode", finding.subcode == 0 ? Json() : Json(fmt::format("{:#x}", finding.subcode))},
          {"name", finding.code_name},
          {"ddi_rule", finding.ddi_rule},
          {"rule", finding.rule},
          {"driver", finding.place.image},
          {"routine", finding.place.function},
          {"file", finding.place.file},
          {"line", finding.place.line},
          {"count", finding.count},
          {"parties", std::move(parties)}};
}

}  // namespace

nlohmann::ordered_json to_json(const Report& report) {
  Json json{{"verdict", name_of(report.verdict)},
            {"sentence", report.sentence},
            {"exit_code", static_cast<int>(report.exit_code)},
            {"title", report.title},
            {"scenario", report.scenario}};
  json["dropouts"] = report.sound ? dropouts_of(*report.sound) : Json{{"count", 0}, {"total_ms", 0.0}, {"where", Json::array()}};

  const LateChain* chain = nullptr;
  if (report.sound && !report.culprits.empty())
    for (const DropoutReport& each : report.sound->dropouts)
      if (each.culprit == 0U && each.chain && (chain == nullptr || each.chain->began_ns - each.chain->queued_ns > chain->began_ns - chain->queued_ns))
        chain = &*each.chain;
  json["culprit"] = report.culprits.empty() ? Json{{"driver", nullptr}, {"routine", nullptr}} : json_of(report.culprits.front(), chain);
  json["other_culprits"] = Json::array();
  for (std::size_t i = 1; i < report.culprits.size(); ++i) json["other_culprits"].push_back(json_of(report.culprits[i], nullptr));
  json["longest_wait"] = report.longest_wait ? json_of(*report.longest_wait) : Json();

  json["trace_hash"] = fmt::format("{:016x}", report.trace_hash);
  json["dpcs"] = json["isrs"] = Json::array();
  for (const RoutineFigures& figures : report.routines) json[figures.kind == "ISR" ? "isrs" : "dpcs"].push_back(json_of(figures));
  if (report.sound) {
    const Sound& sound = *report.sound;
    json["sound"] = {{"source", sound.source},
                     {"rate", sound.rate},
                     {"source_frames", sound.source_frames},
                     {"played_frames", sound.played_frames},
                     {"equal_frames", sound.alignment.equal},
                     {"startup_latency_ms", sound.milliseconds(sound.alignment.startup)},
                     {"startup_latency_frames", sound.alignment.startup}};
  }
  if (report.line) json["line"] = json_of(*report.line);
  if (report.bugcheck) json["bugcheck"] = json_of(*report.bugcheck, report.stop_text);
  if (!report.explanation.empty()) json["explanation"] = report.explanation;
  json["warnings"] = report.warnings;
  json["findings"] = Json::array();
  for (const lab::Finding& finding : report.findings) json["findings"].push_back(json_of(finding));
  json["expectations"] = Json::array();
  for (const Expectation& each : report.expectations)
    json["expectations"].push_back({{"name", each.name}, {"wanted", each.wanted}, {"actual", each.actual}, {"met", each.met}});
  json["debug"] = Json::array();
  for (const lab::DebugLine& line : report.debug_lines)
    json["debug"].push_back({{"time_us", microseconds(line.time)}, {"processor", line.processor}, {"irql", line.irql}, {"text", line.text}});
  if (!report.last_events.empty()) json["last_events"] = report.last_events;
  json["drivers"] = report.drivers;
  json["machine"] = {{"kind", report.machine}, {"processors", report.processors}, {"options", report.options}};
  json["virtual_seconds"] = static_cast<double>(report.virtual_ns) / 1e9;
  json["wall_seconds"] = report.wall_seconds;
  return json;
}

}  // namespace kdpc::tool
