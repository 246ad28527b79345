package channel

// queue is a first-in, first-out ring that grows by doubling and never shrinks.
// Its users bound it. The zero queue is empty.
type queue[T any] struct {
	items []T // length is zero or a power of two
	head  int
	count int
}

func (q *queue[T]) len() int { return q.count }

func (q *queue[T]) push(v T) {
	if q.count == len(q.items) {
		q.grow()
	}
	q.items[(q.head+q.count)&(len(q.items)-1)] = v
	q.count++
}

// front is the oldest item. The queue must not be empty.
func (q *queue[T]) front() *T { return &q.items[q.head] }

// get is the item at position i from the front, less than len.
func (q *queue[T]) get(i int) *T { return &q.items[(q.head+i)&(len(q.items)-1)] }

// pop removes the oldest item. The queue must not be empty.
func (q *queue[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head = (q.head + 1) & (len(q.items) - 1)
	q.count--
	return v
}

func (q *queue[T]) grow() {
	items := make([]T, max(8, 2*len(q.items)))
	n := copy(items, q.items[q.head:])
	copy(items[n:], q.items[:q.head])
	q.items, q.head = items, 0
}
