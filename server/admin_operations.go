package server

import (
	"encoding/binary"
	"encoding/json"
	"net"

	"sim/proto"
)

// An adminCall is a request that is being served.
type adminCall struct {
	accounts Accounts
	upkeep   Upkeep
	stopped  func() bool // says whether the server is to stop

	// stream, when an operation sets it, goes on with the connection after the answer.
	stream func(net.Conn) error
}

// operations says for each operation how many bytes of operands it takes, and what does it.
var operations = [...]struct {
	operands int
	run      func(call *adminCall, operands []byte) (results []byte, err error)
}{
	adminHello:   {0, func(*adminCall, []byte) ([]byte, error) { return nil, nil }},
	adminSalt:    {proto.NameSize, (*adminCall).salt},
	adminAdd:     {proto.NameSize + credentialSize, credentialOperation(Accounts.Add)},
	adminSet:     {proto.NameSize + credentialSize, credentialOperation(Accounts.SetCredential)},
	adminEnable:  {proto.NameSize, nameOperation(func(a Accounts, name proto.Name) error { return a.SetDisabled(name, false) })},
	adminDisable: {proto.NameSize, nameOperation(func(a Accounts, name proto.Name) error { return a.SetDisabled(name, true) })},
	adminRemove:  {proto.NameSize, nameOperation(Accounts.Remove)},
	adminList:    {proto.NameSize, (*adminCall).list},
	adminLog:     {8, (*adminCall).log},
	adminCheck:   {0, (*adminCall).check},
	adminWhere:   {0, (*adminCall).where},
	adminBackup:  {0, (*adminCall).backup},
}

// answer answers a request's body.
func (call *adminCall) answer(request []byte) []byte {
	if len(request) < 2 || request[0] != adminVersion {
		return adminSentence(adminRefused, "the running server is of another version than this command: use the same sim for both")
	}
	operation, operands := int(request[1]), request[2:]
	if operation >= len(operations) || len(operands) != operations[operation].operands {
		return adminError(errNotUnderstood)
	}
	results, err := operations[operation].run(call, operands)
	if err != nil {
		return adminError(err)
	}
	return append([]byte{adminDone}, results...)
}

// operandName reads the name that operands begin with.
func operandName(operands []byte) (proto.Name, error) {
	name, err := proto.ParseName(proto.Name(operands).String())
	if err != nil || name != proto.Name(operands) {
		return proto.Name{}, errNotUnderstood
	}
	return name, nil
}

func (call *adminCall) salt(operands []byte) ([]byte, error) {
	name, err := operandName(operands)
	if err != nil {
		return nil, err
	}
	salt, params, taken, err := call.accounts.Salt(name)
	if err != nil {
		return nil, err
	}
	b := binary.BigEndian.AppendUint32(salt[:], params.Time)
	b = binary.BigEndian.AppendUint32(b, params.Memory)
	b = append(b, params.Threads, 0)
	if taken {
		b[len(b)-1] = 1
	}
	return b, nil
}

// nameOperation is an operation whose operand is a name.
func nameOperation(do func(Accounts, proto.Name) error) func(*adminCall, []byte) ([]byte, error) {
	return func(call *adminCall, operands []byte) ([]byte, error) {
		name, err := operandName(operands)
		if err != nil {
			return nil, err
		}
		return nil, do(call.accounts, name)
	}
}

// credentialOperation is an operation whose operands are a name and a credential.
func credentialOperation(do func(Accounts, proto.Name, Credential) error) func(*adminCall, []byte) ([]byte, error) {
	return func(call *adminCall, operands []byte) ([]byte, error) {
		c, ok := parseCredential(operands[proto.NameSize:])
		if !ok {
			return nil, errNotUnderstood
		}
		return nameOperation(func(a Accounts, name proto.Name) error { return do(a, name, c) })(call, operands)
	}
}

func (call *adminCall) list(operands []byte) ([]byte, error) {
	after := ""
	if proto.Name(operands) != (proto.Name{}) {
		name, err := operandName(operands)
		if err != nil {
			return nil, err
		}
		after = name.String()
	}
	people, err := call.accounts.List(after)
	if err != nil {
		return nil, err
	}
	return json.Marshal(people)
}

func (call *adminCall) log(operands []byte) ([]byte, error) {
	entries, err := call.accounts.Log(binary.BigEndian.Uint64(operands))
	if err != nil {
		return nil, err
	}
	return json.Marshal(entries)
}
