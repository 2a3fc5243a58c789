#include "check/explore/schedule.h"

#include <fmt/format.h>

#include <charconv>

namespace kdpc::explore {

namespace {

// Takes words off the front of a line.
class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}
  bool take(std::string_view word) {
    skip_space();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  template <class Number>
  bool take_number(Number& number) {
    skip_space();
    const auto [end, failed] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    if (failed != std::errc()) return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }
  bool at_end() {
    skip_space();
    return rest_.empty();
  }

 private:
  void skip_space() {
    while (!rest_.empty() && rest_.front() == ' ') rest_.remove_prefix(1);
  }
  std::string_view rest_;
};

bool parse(Words words, Deviation& deviation) {
  using Kind = Deviation::Kind;
  if (words.take("late")) {
    deviation.kind = Kind::Late;
    return words.at_end();
  }
  if (words.take("pick")) {
    deviation.kind = Kind::Pick;
    return words.take_number(deviation.step) && words.take("=") && words.take_number(deviation.number) && words.at_end();
  }
  if (!words.take("cpu") || !words.take_number(deviation.processor) || !words.take("@") || !words.take_number(deviation.step)) return false;
  if (words.take("hold")) return words.at_end();
  if (words.take("fail")) {
    deviation.kind = Kind::Fail;
    return words.at_end();
  }
  if (words.take("low")) {
    deviation.kind = Kind::Low;
    return words.at_end();
  }
  deviation.delays = words.take("delay");
  if (words.take("board")) {
    deviation.kind = Kind::Board;
  } else if (words.take("ipi")) {
    deviation.kind = Kind::Ipi;
  } else if (!deviation.delays && words.take("clock")) {
    deviation.kind = Kind::Clock;
  } else if (!deviation.delays && words.take("switch")) {
    deviation.kind = Kind::Switch;
  } else {
    return false;
  }
  return words.take_number(deviation.number) && words.at_end();
}

}  // namespace

std::string text_of(const Deviation& deviation) {
  const auto at = [&](const char* what) {
    return fmt::format("cpu{}@{} {}{} {}", deviation.processor, deviation.step, deviation.delays ? "delay " : "", what, deviation.number);
  };
  switch (deviation.kind) {
    case Deviation::Kind::Hold: return fmt::format("cpu{}@{} hold", deviation.processor, deviation.step);
    case Deviation::Kind::Low: return fmt::format("cpu{}@{} low", deviation.processor, deviation.step);
    case Deviation::Kind::Board: return at("board");
    case Deviation::Kind::Clock: return at("clock");
    case Deviation::Kind::Ipi: return at("ipi");
    case Deviation::Kind::Switch: return at("switch");
    case Deviation::Kind::Late: return "late";
    case Deviation::Kind::Fail: return fmt::format("cpu{}@{} fail", deviation.processor, deviation.step);
    case Deviation::Kind::Pick: return fmt::format("pick {} = {}", deviation.step, deviation.number);
  }
  return {};
}

std::string text_of(const Schedule& schedule) {
  if (schedule.empty()) return "the default order\n";
  std::string text;
  for (const Deviation& deviation : schedule) text += text_of(deviation) + '\n';
  return text;
}

Result<Deviation> deviation_from(std::string_view line) {
  Deviation deviation;
  if (parse(Words(line), deviation)) return deviation;
  return Error{
      fmt::format("'{}' is no deviation; they look like 'cpu0@17 hold', 'cpu0@17 low', 'cpu0@17 board 0', 'cpu0@17 clock 1', 'cpu0@17 ipi 1', "
                  "'cpu0@17 delay board 0', 'cpu0@17 delay ipi 1', 'cpu0@17 switch 1', 'cpu0@17 fail', 'pick 3 = 1', 'late'",
                  line)};
}

}  // namespace kdpc::explore
