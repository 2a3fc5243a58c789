// One table of a TOML file, read key by key: what is wrong is said with file, line and column, all of it at once, and what nobody asked for is
// wrong too.
#pragma once
#include <toml++/toml.h>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kdpc::tool {

// A place in a file: "scenario.toml:3:7".
struct Position {
  std::string file;
  std::size_t line = 0;
  std::size_t column = 0;
  std::string text() const;
};

class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}
  void add(const toml::node& node, const std::string& what) { add(position_of(node), what); }
  void add(const Position& position, const std::string& what);
  Position position_of(const toml::node& node) const;
  bool none() const { return lines_.empty(); }
  std::string text() const;  // a line each, in the order of the file

 private:
  struct Line {
    Position position;
    std::string what;
  };
  std::string file_;
  std::vector<Line> lines_;
};

std::string_view kind_of(const toml::node& node);  // "a string"

class TomlTable {
 public:
  // `path` is how the file writes it: "machine", "devices.sound". Null: it is not there, and every key is absent.
  TomlTable(const toml::table* table, std::string path, Problems& problems) : table_(table), path_(std::move(path)), problems_(problems) {}
  TomlTable(const TomlTable&) = delete;
  TomlTable& operator=(const TomlTable&) = delete;

  bool exists() const { return table_ != nullptr; }
  const std::string& path() const { return path_; }
  Position position() const;
  Position position_of(std::string_view key) const;  // of its value; of the table if it is absent

  // Absent, or wrong and noted: nothing.
  std::optional<std::string> text(std::string_view key);
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t least, std::int64_t most);
  std::optional<double> number(std::string_view key, double least, double most);
  std::optional<bool> flag(std::string_view key);
  std::optional<std::string> choice(std::string_view key, const std::vector<std::string>& allowed);
  const toml::table* table(std::string_view key);
  const toml::array* array_of_tables(std::string_view key);
  const toml::node* any(std::string_view key);

  // It must be there.
  void need(std::string_view key, std::string_view meaning);
  void wrong(std::string_view key, const std::string& what);
  // Every key that was not asked for by now is unknown.
  void done();
  const toml::table* raw() const { return table_; }

 private:
  void mistyped(const toml::node& node, std::string_view key, std::string_view wanted);
  std::string named(std::string_view key) const { return path_.empty() ? std::string(key) : path_ + "." + std::string(key); }

  const toml::table* table_;
  std::string path_;
  Problems& problems_;
  std::vector<std::string> asked_;
};

}  // namespace kdpc::tool
