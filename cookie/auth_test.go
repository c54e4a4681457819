package cookie

import "errors"

// checkCookie is check_cookie of lib/kernel/src/auth.erl (OTP 25.2.3, and the same since R13),
// clause by clause, and the list_to_atom that its caller hands the result to. Load has to agree
// with it.
func checkCookie(list, result []byte) ([]byte, error) {
	switch {
	// check_cookie([Letter|Rest], Result) when $\s =< Letter, Letter =< $~ ->
	//     check_cookie(Rest, [Letter|Result]);
	case len(list) > 0 && ' ' <= list[0] && list[0] <= '~':
		return checkCookie(list[1:], append(result, list[0]))
	// check_cookie([X|Rest], Result) ->
	//     check_cookie1([X|Rest], Result);
	case len(list) > 0:
		return checkCookie1(list, result)
	}
	// check_cookie([], Result) ->
	//     check_cookie1([], Result).
	return checkCookie1(nil, result)
}

func checkCookie1(list, result []byte) ([]byte, error) {
	switch {
	// check_cookie1([$\n|Rest], Result) ->
	//     check_cookie1(Rest, Result);
	case len(list) > 0 && list[0] == '\n':
		return checkCookie1(list[1:], result)
	// check_cookie1([$\r|Rest], Result) ->
	//     check_cookie1(Rest, Result);
	case len(list) > 0 && list[0] == '\r':
		return checkCookie1(list[1:], result)
	// check_cookie1([$\s|Rest], Result) ->
	//     check_cookie1(Rest, Result);
	case len(list) > 0 && list[0] == ' ':
		return checkCookie1(list[1:], result)
	// check_cookie1([_|_], _Result) ->
	//     {error, "Bad characters in cookie"};
	case len(list) > 0:
		return nil, errors.New("Bad characters in cookie")
	// check_cookie1([], []) ->
	//     {error, "Too short cookie string"};
	case len(result) == 0:
		return nil, errors.New("Too short cookie string")
	}
	// check_cookie1([], Result) ->
	//     {ok, lists:reverse(Result)}.
	return listToAtom(result)
}

// listToAtom is erlang:list_to_atom/1, which raises system_limit.
func listToAtom(list []byte) ([]byte, error) {
	if len(list) > 255 {
		return nil, errors.New("system_limit")
	}
	return list, nil
}
