// A circular doubly linked list whose links are embedded in the objects, with the layout of NT's LIST_ENTRY.
// Nothing allocates; an object is on at most one list per link. An unlinked Link may hold anything: ask the object's own state.
#pragma once
#include <cstddef>
#include <cstdint>

namespace kdpc {

struct Link {
  Link* next;
  Link* previous;
};

class List {
 public:
  void initialize() { head_.next = head_.previous = &head_; }
  bool empty() const { return head_.next == &head_; }
  Link* first() const { return empty() ? nullptr : head_.next; }
  Link* after(const Link* link) const { return link->next == &head_ ? nullptr : link->next; }
  Link* last() const { return empty() ? nullptr : head_.previous; }
  Link* before(const Link* link) const { return link->previous == &head_ ? nullptr : link->previous; }

  void push_front(Link& link) { insert_between(link, &head_, head_.next); }
  void push_back(Link& link) { insert_between(link, head_.previous, &head_); }
  void insert_before(Link& link, Link& position) { insert_between(link, position.previous, &position); }
  void insert_after(Link& link, Link& position) { insert_between(link, &position, position.next); }

  Link* pop_front() {
    Link* link = first();
    if (link != nullptr) remove(*link);
    return link;
  }

  // All of `other`, behind what is here.
  void take_over(List& other) {
    if (other.empty()) return;
    other.head_.next->previous = head_.previous;
    other.head_.previous->next = &head_;
    head_.previous->next = other.head_.next;
    head_.previous = other.head_.previous;
    other.initialize();
  }

  static void remove(Link& link) {
    link.previous->next = link.next;
    link.next->previous = link.previous;
  }

  bool contains(const Link& wanted) const {
    for (const Link* link = first(); link != nullptr; link = after(link))
      if (link == &wanted) return true;
    return false;
  }

 private:
  static void insert_between(Link& link, Link* before, Link* after) {
    link.previous = before;
    link.next = after;
    before->next = &link;
    after->previous = &link;
  }

  Link head_;
};

static_assert(sizeof(Link) == 16 && sizeof(List) == 16);

// The object that embeds `link` as `member`: owner_of<&Dpc::link>(link).
template <class Owner, class Field>
Owner* owner_by(Field Owner::*member, Field* field) {
  alignas(Owner) static const unsigned char shape[sizeof(Owner)] = {};
  const auto* owner = reinterpret_cast<const Owner*>(shape);
  const auto offset = reinterpret_cast<const unsigned char*>(&(owner->*member)) - shape;
  return reinterpret_cast<Owner*>(reinterpret_cast<unsigned char*>(field) - offset);
}
template <auto Member, class Field>
auto owner_of(Field* field) {
  return owner_by(Member, field);
}

}  // namespace kdpc
