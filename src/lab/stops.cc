#include "lab/stops.h"

#include <algorithm>
#include <iterator>

#include "kernel/bugcheck.h"
#include "wdk/routine.h"

namespace kdpc::lab {

namespace {

// Ours: the place to show is where somebody called us.
bool is_our_library(const std::string& image) { return image.starts_with("libkdpc"); }
// What compiled drivers call at every edge and access, and is linked into each (drvcrt): whoever called it is meant.
bool is_hook(const Place& place) { return place.function == "__sanitizer_cov_trace_pc" || place.function.starts_with("__tsan_"); }
bool is_outside(const Place& place) { return !place.image.empty() && !is_our_library(place.image) && !is_hook(place); }

// The routine whose code has faulted, if a driver called it: the outermost of the innermost frames that are ours.
std::string routine_that_faulted(const std::vector<Place>& stack) {
  const auto driver = std::find_if(stack.begin(), stack.end(), is_outside);
  if (driver == stack.begin() || driver == stack.end()) return {};
  const std::string& name = std::prev(driver)->function;
  return wdk::is_exported(name) ? name : std::string();
}

}  // namespace

Place place_of(const Symbol& symbol) { return {symbol.address, symbol.image, symbol.function, symbol.offset, symbol.file, symbol.line}; }
bool is_outermost(const Place& place) { return place.function == "kdpc::entry::thread_begins"; }

Bugcheck describe(const BugcheckReport& report, Symbols& symbols) {
  Bugcheck stop;
  stop.code = report.code;
  stop.name = name_of_stop(report.code);
  stop.parameters[0] = report.parameters.p1;
  stop.parameters[1] = report.parameters.p2;
  stop.parameters[2] = report.parameters.p3;
  stop.parameters[3] = report.parameters.p4;
  stop.sentence = report.sentence == nullptr ? "" : report.sentence;
  stop.rule = report.rule == nullptr ? "" : report.rule;
  stop.processor = report.processor;
  stop.irql = static_cast<unsigned>(report.irql);
  stop.thread = report.thread;
  for (const std::uintptr_t frame : report.frames) {
    if (frame == 0) break;
    Place place = place_of(symbols.find(frame, Symbols::Meaning::ReturnAddress));
    if (is_our_library(place.image)) {
      if (place.function == "kdpc::bug_check") {  // how a run is ended says nothing about why
        stop.stack.clear();
        continue;
      }
      if (is_outermost(place)) break;
    }
    stop.stack.push_back(std::move(place));
  }
  const bool is_fault = stop.rule == "0x50" || stop.rule == "0x0A" || stop.rule == "0x1E";  // others have their own sentence
  if (const std::string routine = is_fault ? routine_that_faulted(stop.stack) : std::string(); !routine.empty())
    stop.sentence = routine + " was called with a pointer to memory that is not there, or with an object that holds one.";
  for (std::size_t i = 0; i < std::size(stop.parameters); ++i) {
    Place place = place_of(symbols.find(stop.parameters[i]));
    if (is_outside(place) && !place.function.empty()) stop.parameter_places[i] = std::move(place);
  }
  // Nobody's code runs when a driver has left something behind, but the parameters say what: an ISR, a timer.
  if (const auto frame = std::find_if(stop.stack.begin(), stop.stack.end(), is_outside); frame != stop.stack.end()) {
    stop.place = *frame;
  } else if (const auto named = std::find_if(std::begin(stop.parameter_places), std::end(stop.parameter_places), is_outside);
             named != std::end(stop.parameter_places)) {
    stop.place = *named;
  } else if (!stop.stack.empty()) {
    stop.place = stop.stack.front();
  }
  return stop;
}

}  // namespace kdpc::lab
