#include "lab/checks.h"

#include <fmt/format.h>

#include <charconv>

#include "kernel/bugcheck.h"
#include "lab/stops.h"
#include "machine/host.h"
#include "trace/symbols.h"
#include "trace/text_trace.h"
#include "wdk/routine.h"

namespace kdpc::lab {

namespace {

const char* name_of_routine(std::uint16_t number) {
  return number < wdk::kRoutineCount ? wdk::row_of(static_cast<wdk::RoutineId>(number)).name : nullptr;
}

Result<std::uint64_t> number_from(const std::string& name, const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc{} || end != text.data() + text.size())
    return Error{fmt::format("'{}' is no value of the limit {}: it is a whole number", text, name)};
  return value;
}

static_assert(static_cast<int>(rules::StackWord::Dead) == static_cast<int>(host::StackWord::Dead) &&
              static_cast<int>(rules::StackWord::None) == static_cast<int>(host::StackWord::None));

Party describe(const rules::Party& party, Symbols& symbols) {
  Party described;
  described.role = party.role;
  described.time = party.when.time;
  described.processor = party.when.processor;
  described.irql = party.when.irql;
  described.thread = party.when.thread;
  for (const std::uintptr_t frame : party.frames) {
    if (frame == 0) break;
    Place place = place_of(symbols.find(frame, Symbols::Meaning::ReturnAddress));
    if (is_outermost(place)) break;
    described.stack.push_back(std::move(place));
  }
  if (party.at != 0) {
    described.place = place_of(symbols.find(party.at, party.exact ? Symbols::Meaning::Exact : Symbols::Meaning::ReturnAddress));
  } else {
    described.place.function = "the kernel";
  }
  const std::string routine = party.routine != 0 ? " " + symbols.find(party.routine).short_text() : "";
  described.text = fmt::format("{}{} on processor {} at IRQL {} ({}), thread {}, {}", rules::name_of(party.acting), routine, described.processor,
                               described.irql, short_name_of_irql(described.irql), described.thread, text_of_time(described.time));
  return described;
}

}  // namespace

Result<rules::Limits> limits_from(const Checks& checks) {
  rules::Limits limits;
  limits.keep_going = checks.keep_going;
  for (const std::string& id : checks.off) {
    bool known = false;
    for (unsigned number = 0; number < rules::kRuleCount; ++number)
      if (id == rules::row_of(static_cast<rules::RuleId>(number)).id) {
        limits.off.set(number);
        known = true;
      }
    if (!known) return Error{fmt::format("there is no check named '{}'; docs/checks.md has all", id)};
  }
  for (const auto& [name, text] : checks.limits) {
    const auto value = number_from(name, text);
    if (!value) return value.error();
    if (name == "dpc") {
      limits.dpc = *value * 1000;
    } else if (name == "isr") {
      limits.isr = *value * 1000;
    } else if (name == "spin_lock") {
      limits.spin_lock = *value * 1000;
    } else if (name == "interrupt") {
      limits.interrupt = *value * 1000;
    } else if (name == "requeues") {
      limits.requeues = static_cast<std::uint32_t>(*value);
    } else {
      return Error{fmt::format("there is no limit named '{}'; the limits are dpc, interrupt, isr, requeues, spin_lock", name)};
    }
  }
  return limits;
}

std::unique_ptr<rules::Rules> make_checks(unsigned processors, const rules::Limits& limits) {
  rules::Surroundings surroundings;
  surroundings.stack = &host::stack_of_fact;
  surroundings.stack_word = [](std::uintptr_t address, std::uintptr_t caller) {
    return static_cast<rules::StackWord>(host::stack_word(address, caller));
  };
  surroundings.stop = &host::end_with_fact;
  surroundings.name_of_routine = &name_of_routine;
  return std::make_unique<rules::Rules>(processors, surroundings, limits);
}

Finding describe(const rules::Finding& found, Symbols& symbols) {
  const rules::RuleRow& row = rules::row_of(found.rule);
  Finding finding;
  finding.id = row.id;
  finding.advice = row.severity == rules::Severity::Advice;
  finding.stop = row.severity == rules::Severity::Stop;
  finding.sentence = found.sentence;
  finding.fix = row.fix;
  finding.code = row.code;
  finding.subcode = row.subcode;
  if (row.code != 0) finding.code_name = name_of_stop(row.code);
  finding.ddi_rule = row.ddi_rule;
  finding.rule = row.rule;
  for (const rules::Party& party : found.parties) finding.parties.push_back(describe(party, symbols));
  if (!finding.parties.empty()) finding.place = finding.parties.front().place;
  finding.count = found.count;
  return finding;
}

}  // namespace kdpc::lab
