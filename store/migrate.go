package store

import (
	"time"

	bolt "go.etcd.io/bbolt"
)

// migrate brings schema 1 forward.
func (s *Store) migrate(now time.Time) error {
	// TODO: a copy first
	err := s.update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket(auditBucket); err != nil {
			return err
		}
		generation, err := record(tx, now, OnFile(), Migrated, "")
		if err != nil {
			return err
		}
		accounts := tx.Bucket(accountsBucket)
		old := map[string][]byte{} // a bucket may not change while it is walked through
		if err := accounts.ForEach(func(k, v []byte) error {
			a, ok := decodeAccount(1, v)
			if !ok {
				return damaged(s.path, "the account is not whole", nil)
			}
			a.Generation = generation
			old[string(k)] = encodeAccount(&a)
			return nil
		}); err != nil {
			return err
		}
		for k, v := range old {
			if err := accounts.Put([]byte(k), v); err != nil {
				return err
			}
		}
		return tx.Bucket(metaBucket).Put(schemaKey, encodeSchema(schemaVersion))
	})
	if err == nil {
		s.schema = schemaVersion
	}
	return err
}
