#include "tools/kdpc/stop_text.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <iterator>
#include <optional>
#include <string_view>

#include "kernel/bugcheck.h"
#include "trace/symbols.h"
#include "view/analysis.h"

namespace kdpc::tool {
namespace {

bool equal_ignoring_case(std::string_view left, std::string_view right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

std::optional<unsigned long> number_of(const std::string& text) {
  char* end = nullptr;
  const unsigned long code = std::strtoul(text.c_str(), &end, 0);
  return end != text.c_str() && *end == '\0' ? std::optional(code) : std::nullopt;
}

std::string text_of(lab::Place place) {
  place.image = debuggers_name_of(place.image);
  return place.text();
}

}  // namespace

std::vector<std::string> stop_names() {
  std::vector<std::string> names;
  for (const std::uint32_t code : view::explained_stops()) names.emplace_back(name_of_stop(code));
  return names;
}

bool is_stop_code(const std::string& wanted) {
  const auto names = stop_names();
  return number_of(wanted) || std::any_of(names.begin(), names.end(), [&](const std::string& name) { return equal_ignoring_case(wanted, name); });
}

bool is_this_stop(const std::string& wanted, const lab::Bugcheck& stop) {
  return equal_ignoring_case(wanted, stop.name) || number_of(wanted) == stop.code;
}

StopMeaning meaning_of(const lab::Bugcheck& stop) { return view::meaning_of(stop.code, stop.parameters[0]); }

std::string stop_text(const lab::Bugcheck& stop, const ThreadName& thread) {
  view::Analysis analysis;
  analysis.code = stop.code;
  analysis.name = stop.name;
  for (std::size_t i = 0; i < std::size(stop.parameters); ++i) {
    analysis.parameters[i] = stop.parameters[i];
    if (!stop.parameter_places[i].image.empty()) analysis.parameter_places[i] = stop.parameter_places[i].text();
  }
  analysis.sentence = stop.sentence;
  analysis.rule = stop.rule;
  analysis.place = text_of(stop.place);
  analysis.image = debuggers_name_of(stop.place.image);
  analysis.function = stop.place.function;
  analysis.processor = stop.processor;
  analysis.irql = stop.irql;
  analysis.thread = thread.text;
  analysis.borrowed = thread.borrowed;
  for (const lab::Place& place : stop.stack) analysis.stack.push_back({place.address, text_of(place)});
  return view::text_of(analysis);
}

}  // namespace kdpc::tool
