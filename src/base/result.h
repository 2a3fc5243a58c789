// A Result is what an operation on the host may end with: a value, or an Error that says what failed, where, and what to do about it.
//
// Only for what the host refuses (files, sockets, child processes). A driver's mistake is a bug check and ours is an invariant; neither is a Result.
// Nobody may look at the value of a failed Result: that ends the process, as it would hide the error.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <variant>

namespace kdpc {

struct Error {
  std::string what;  // one sentence for people, without a final full stop
};

namespace detail {
[[noreturn]] inline void result_misuse(const char* why) {
  std::fprintf(stderr, "simulator bug: %s\n", why);
  std::abort();
}
}  // namespace detail

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    if (!ok()) detail::result_misuse(error().what.c_str());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& { return const_cast<Result&>(*this).value(); }
  T&& value() && { return std::move(value()); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const {
    if (ok()) detail::result_misuse("the error of a successful Result was asked for");
    return *std::get_if<1>(&state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : failed_(true), error_(std::move(error)) {}

  bool ok() const { return !failed_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const {
    if (ok()) detail::result_misuse("the error of a successful Result was asked for");
    return error_;
  }

 private:
  bool failed_ = false;
  Error error_;
};

}  // namespace kdpc
