#include "tools/kdpc/toml_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "tools/kdpc/near_name.h"

namespace kdpc::tool {

std::string Position::text() const { return line == 0 ? file : fmt::format("{}:{}:{}", file, line, column); }

Position Problems::position_of(const toml::node& node) const {
  const toml::source_position begin = node.source().begin;
  return {file_, begin.line, begin.column};
}

void Problems::add(const Position& position, const std::string& what) { lines_.push_back({position, what}); }

std::string Problems::text() const {
  std::vector<Line> sorted = lines_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Line& left, const Line& right) { return left.position.line < right.position.line; });
  std::string text;
  for (const Line& line : sorted) text += fmt::format("{}{}: {}", text.empty() ? "" : "\n", line.position.text(), line.what);
  return text;
}

std::string_view kind_of(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "an array";
    case toml::node_type::string: return "a string";
    case toml::node_type::integer: return "a whole number";
    case toml::node_type::floating_point: return "a number";
    case toml::node_type::boolean: return "true or false";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time: return "a date or time";
    case toml::node_type::none: break;
  }
  return "nothing";
}

Position TomlTable::position() const { return table_ == nullptr ? Position{} : problems_.position_of(*table_); }

Position TomlTable::position_of(std::string_view key) const {
  const toml::node* const node = table_ == nullptr ? nullptr : table_->get(key);
  return node == nullptr ? position() : problems_.position_of(*node);
}

const toml::node* TomlTable::any(std::string_view key) {
  asked_.emplace_back(key);
  return table_ == nullptr ? nullptr : table_->get(key);
}

void TomlTable::mistyped(const toml::node& node, std::string_view key, std::string_view wanted) {
  problems_.add(node, fmt::format("'{}' must be {}, but this is {}", named(key), wanted, kind_of(node)));
}

std::optional<std::string> TomlTable::text(std::string_view key) {
  const toml::node* const node = any(key);
  if (node == nullptr) return {};
  if (const auto* const value = node->as_string()) return value->get();
  mistyped(*node, key, "a string");
  return {};
}

std::optional<std::int64_t> TomlTable::integer(std::string_view key, std::int64_t least, std::int64_t most) {
  const toml::node* const node = any(key);
  if (node == nullptr) return {};
  const std::string wanted = fmt::format("a whole number from {} to {}", least, most);
  const auto* const value = node->as_integer();
  if (value == nullptr) {
    mistyped(*node, key, wanted);
    return {};
  }
  if (value->get() >= least && value->get() <= most) return value->get();
  problems_.add(*node, fmt::format("'{}' must be {}, not {}", named(key), wanted, value->get()));
  return {};
}

std::optional<double> TomlTable::number(std::string_view key, double least, double most) {
  const toml::node* const node = any(key);
  if (node == nullptr) return {};
  const std::string wanted = fmt::format("a number from {} to {}", least, most);
  const std::optional<double> value = node->is_number() ? node->value<double>() : std::nullopt;
  if (!value) {
    mistyped(*node, key, wanted);
    return {};
  }
  if (*value >= least && *value <= most) return value;
  problems_.add(*node, fmt::format("'{}' must be {}, not {}", named(key), wanted, *value));
  return {};
}

std::optional<bool> TomlTable::flag(std::string_view key) {
  const toml::node* const node = any(key);
  if (node == nullptr) return {};
  if (const auto* const value = node->as_boolean()) return value->get();
  mistyped(*node, key, "true or false");
  return {};
}

std::optional<std::string> TomlTable::choice(std::string_view key, const std::vector<std::string>& allowed) {
  std::optional<std::string> value = text(key);
  if (!value || std::find(allowed.begin(), allowed.end(), *value) != allowed.end()) return value;
  wrong(key, fmt::format("'{}' is no value of '{}'{}", *value, named(key), suggestion(*value, allowed)));
  return {};
}

const toml::table* TomlTable::table(std::string_view key) {
  const toml::node* const node = any(key);
  if (node == nullptr) return nullptr;
  if (const toml::table* const value = node->as_table()) return value;
  problems_.add(*node, fmt::format("'{0}' must be a table, written [{0}], but this is {1}", named(key), kind_of(*node)));
  return nullptr;
}

const toml::array* TomlTable::array_of_tables(std::string_view key) {
  const toml::node* const node = any(key);
  if (node == nullptr) return nullptr;
  if (const toml::array* const value = node->as_array(); value != nullptr && (value->empty() || value->is_array_of_tables())) return value;
  problems_.add(*node, fmt::format("'{0}' must be a list of tables, each written [[{0}]], but this is {1}", named(key), kind_of(*node)));
  return nullptr;
}

void TomlTable::need(std::string_view key, std::string_view meaning) {
  if (table_ == nullptr || table_->get(key) != nullptr) return;
  problems_.add(*table_, fmt::format("'{}' is missing here: {}", named(key), meaning));
}

void TomlTable::wrong(std::string_view key, const std::string& what) { problems_.add(position_of(key), what); }

void TomlTable::done() {
  if (table_ == nullptr) return;
  for (const auto& [key, value] : *table_) {
    if (std::find(asked_.begin(), asked_.end(), key.str()) != asked_.end()) continue;
    const toml::source_position begin = key.source().begin;
    Position position = problems_.position_of(value);
    if (begin.line != 0) position.line = begin.line, position.column = begin.column;
    const std::string place = path_.empty() ? std::string() : fmt::format(" in [{}]", path_);
    problems_.add(position, fmt::format("there is no key '{}'{}{}", key.str(), place, suggestion(key.str(), asked_)));
  }
}

}  // namespace kdpc::tool
